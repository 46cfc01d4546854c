// Does what it is told on standard input, a word a line, and answers each with a line of JSON.
// Usage: OPENAI_API_KEY=... OPENAI_BASE_URL=... node client.js PACKAGE
import { createInterface } from "node:readline";

const { default: OpenAI } = await import(process.argv[2]);
const client = new OpenAI({ maxRetries: Number(process.env.MAX_RETRIES) });
const question = {
  model: "google/gemini-3-flash",
  messages: [{ role: "user", content: "Hello" }],
};

async function streamed(request) {
  let text = "";
  for await (const chunk of await client.chat.completions.create({ ...request, stream: true })) {
    text += chunk.choices[0].delta.content ?? "";
  }
  return text;
}

const commands = {
  async models() {
    return (await client.models.list()).data.map((model) => model.id);
  },
  async model() {
    return (await client.models.retrieve(question.model)).id;
  },
  async ask() {
    return (await client.chat.completions.create(question)).choices[0].message.content;
  },
  async stream() {
    return await streamed(question);
  },
  // Takes two seconds.
  async talk() {
    return await streamed({ ...question, messages: [{ role: "user", content: "word ".repeat(50) }] });
  },
  async anonymous() {
    return await client.models.list({ headers: { Authorization: null } });
  },
};

for await (const command of createInterface({ input: process.stdin })) {
  let answer;
  try {
    answer = { result: await commands[command]() };
  } catch (error) {
    const { status, code, type } = error;
    answer = { kind: error.constructor.name, status, code, type, message: error.error?.message };
  }
  console.log(JSON.stringify(answer));
}
