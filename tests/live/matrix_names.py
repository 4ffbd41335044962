# Names outside ASCII, one, two and four bytes a character in the interpreter's memory.


def dünn(leaf):
    leaf("latin")


def тонкий(leaf):
    leaf("wide")


def 𝔱hin𐌸(leaf):
    leaf("widest")


def keywords(*, leaf):
    leaf("keywords")


async def coroutine(leaf):
    leaf("coroutine")


def run(leaf):
    dünn(leaf)
    тонкий(leaf)
    𝔱hin𐌸(leaf)
    keywords(leaf=leaf)
