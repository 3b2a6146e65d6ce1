import type { ArgumentSource } from '../../protocol/resp-request.ts';

/** Copies arguments into one buffer, one after the other, in the form in which the decoder gives a request. */
export function packedWords(words: readonly Buffer[]): ArgumentSource {
  const lengths = Int32Array.from(words, ({ length }) => length);
  const starts = new Int32Array(words.length);
  for (let index = 1; index < words.length; index++) starts[index] = starts[index - 1] + lengths[index - 1];
  return { buffer: Buffer.concat(words), argc: words.length, starts, lengths };
}
