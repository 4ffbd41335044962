/* An evaluator that does nothing of its own (PEP 523). */
typedef void *evaluate(void *tstate, void *frame, int throwing);
extern evaluate _PyEval_EvalFrameDefault;

void *evaluate_too(void *tstate, void *frame, int throwing)
{
	return _PyEval_EvalFrameDefault(tstate, frame, throwing);
}
