/**
 * A feature with all that is known of it, and what a text makes of it.
 */
import { type FeatureAddress } from "@/lib/address.ts";
import { answered, client, type Schemas } from "./client.ts";

export type Activation = Schemas["Activation"];
export type Explanation = Schemas["Explanation"];
export type FeatureRecord = Schemas["Feature"];
export type TestedText = Schemas["TextActivation"];

export function getFeature({ model, source, index }: FeatureAddress, signal?: AbortSignal): Promise<FeatureRecord> {
  const path = { model, source, index: index.toString() };
  return answered(client.GET("/api/feature/{model}/{source}/{index}", { params: { path }, signal: signal ?? null }));
}

export async function testText({ model, source, index }: FeatureAddress, text: string, ignoreBos: boolean, signal?: AbortSignal): Promise<TestedText> {
  const feature = { modelId: model, source, index: index.toString() };
  const body = { feature, customText: text, ignoreBos };
  // One text is answered by one result, several by a list.
  return (await answered(client.POST("/api/activation/new", { body, signal: signal ?? null }))) as TestedText;
}
