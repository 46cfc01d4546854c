import os

from openai import OpenAI

client = OpenAI(
    base_url=os.environ["OPENTOKEN_BASE_URL"],
    api_key=os.environ["OPENTOKEN_API_KEY"],
)

resp = client.chat.completions.create(
    model="google/gemini-3-flash",
    messages=[{"role": "user", "content": "Hello"}],
)
print(resp.choices[0].message.content)
