import OpenAI from "openai";

const client = new OpenAI({
  baseURL: process.env.OPENTOKEN_BASE_URL,
  apiKey: process.env.OPENTOKEN_API_KEY,
});

const resp = await client.chat.completions.create({
  model: "google/gemini-3-flash",
  messages: [{ role: "user", content: "Hello" }],
});
console.log(resp.choices[0].message.content);
