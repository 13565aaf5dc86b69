/**
 * Failures as the server tells them: what went wrong, and what to do about it.
 *
 * Every request of the app fails with a `ServerError`, so that one component can show all of them.
 */
export class ServerError extends Error {
  readonly status: number;
  readonly sqlstate: string | null;
  readonly hint: string | null;
  readonly detail: string | null;
  /** Character of the statement that the failure is about, from 1. */
  readonly position: number | null;

  constructor(status: number, body: unknown) {
    const members = typeof body === "object" && body !== null ? (body as Record<string, unknown>) : {};
    // OpenAI's endpoints put the message one level deeper.
    const inner = typeof members.error === "object" && members.error !== null ? (members.error as Record<string, unknown>) : members;
    super(text(inner.message) ?? text(inner.error) ?? `the server answered ${status}`);
    this.name = "ServerError";
    this.status = status;
    this.sqlstate = text(inner.sqlstate);
    this.hint = text(inner.hint);
    this.detail = text(inner.detail);
    this.position = typeof inner.position === "number" ? inner.position : null;
  }
}

/** The server could not be reached at all. */
export function unreachable(): ServerError {
  return new ServerError(0, {
    message: "the server does not answer",
    hint: "see whether `latentdb serve` is still running, then try again",
  });
}

function text(value: unknown): string | null {
  return typeof value === "string" && value !== "" ? value : null;
}
