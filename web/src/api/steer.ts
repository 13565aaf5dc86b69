/**
 * Steered generation: `/api/steer` and `/api/steer-chat`, whose answers grow while they are read, and
 * `/api/steer-load`, which restores a run by its id.
 */
import { createParser } from "eventsource-parser";
import { ServerError } from "./error.ts";
import { send, sendJson } from "./http.ts";

export type SteerMethod = "SIMPLE_ADDITIVE" | "ORTHOGONAL_DECOMP" | "PROJECTION_CAP";

export interface SteeredFeature {
  readonly modelId: string;
  readonly layer: string;
  readonly index: string;
  readonly strength: number;
}

export interface SteerSettings {
  readonly temperature: number;
  readonly n_tokens: number;
  readonly freq_penalty: number;
  readonly seed: number;
  readonly strength_multiplier: number;
  readonly steer_method: SteerMethod;
}

export interface ChatMessage {
  readonly role: "system" | "user" | "assistant";
  readonly content: string;
}

interface Common extends SteerSettings {
  readonly modelId: string;
  readonly features: readonly SteeredFeature[];
}

export interface CompletionRequest extends Common {
  readonly kind: "completion";
  readonly prompt: string;
}

export interface ChatRequest extends Common {
  readonly kind: "chat";
  readonly defaultChatMessages: readonly ChatMessage[];
  readonly steeredChatMessages: readonly ChatMessage[];
  readonly steer_special_tokens: boolean;
}

export interface TokenLogprob {
  readonly token: string;
  readonly logprob: number | null;
  readonly topLogprobs: readonly { readonly token: string; readonly logprob: number }[];
}

interface Conversation {
  readonly chatTemplate: readonly ChatMessage[];
  readonly logprobs?: readonly TokenLogprob[];
}

/** An answer so far, as the server sends it. */
export interface SteerAnswer {
  readonly DEFAULT: string | Conversation | null;
  readonly STEERED: string | Conversation | null;
  readonly id: string | null;
  readonly defaultLogProbs?: readonly TokenLogprob[] | null;
  readonly steeredLogProbs?: readonly TokenLogprob[] | null;
}

/** A run that was kept: its answer, with what was asked. */
export interface SavedRun extends SteerAnswer, Partial<SteerSettings> {
  readonly modelId: string;
  readonly features: readonly SteeredFeature[];
  readonly inputText?: string;
  readonly defaultChatMessages?: readonly ChatMessage[];
  readonly steeredChatMessages?: readonly ChatMessage[];
}

/** One of the two texts of an answer. */
export interface Side {
  readonly text: string;
  readonly messages: readonly ChatMessage[];
  readonly logprobs: readonly TokenLogprob[];
}

export function sideOf(answer: SteerAnswer, which: "DEFAULT" | "STEERED"): Side {
  const side = answer[which];
  const logprobs = which === "DEFAULT" ? answer.defaultLogProbs : answer.steeredLogProbs;
  if (side === null || side === undefined) return { text: "", messages: [], logprobs: [] };
  if (typeof side === "string") return { text: side, messages: [], logprobs: logprobs ?? [] };
  const messages = side.chatTemplate;
  return { text: messages.at(-1)?.content ?? "", messages, logprobs: side.logprobs ?? [] };
}

/** Runs a request; `onAnswer` is called with each answer so far, the last of which has the run's id. */
export async function steer(
  request: CompletionRequest | ChatRequest,
  onAnswer: (answer: SteerAnswer) => void,
  signal: AbortSignal,
): Promise<void> {
  const { kind, ...asked } = request;
  const path = kind === "chat" ? "/api/steer-chat" : "/api/steer";
  const answer = await send(path, { body: { ...asked, stream: true }, accept: "text/event-stream", signal });
  if (answer.body === null) return;
  const parser = createParser({
    onEvent: ({ data }) => {
      const event = JSON.parse(data) as SteerAnswer & { error?: string };
      if (event.error !== undefined) throw new ServerError(200, event);
      onAnswer(event);
    },
  });
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  for (let chunk = await reader.read(); !chunk.done; chunk = await reader.read()) parser.feed(chunk.value);
}

export function loadRun(id: string, signal?: AbortSignal): Promise<SavedRun> {
  return sendJson<SavedRun>("/api/steer-load", { body: { steerOutputId: id }, signal });
}
