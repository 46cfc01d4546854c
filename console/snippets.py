"""The lines to paste after a key was created, as in the documentation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from keyauthority.client import Secret

_MODEL: Final = "google/gemini-3-flash"

_CURL: Final = """\
curl {api_url}/chat/completions \\
  -H "Authorization: Bearer $OPENTOKEN_API_KEY" \\
  -H "Content-Type: application/json" \\
  -d '{{
    "model": "{model}",
    "messages": [{{"role": "user", "content": "Hello"}}]
  }}'"""

_PYTHON: Final = """\
from openai import OpenAI
import os

client = OpenAI(
    base_url="{api_url}",
    api_key=os.environ["OPENTOKEN_API_KEY"],
)

resp = client.chat.completions.create(
    model="{model}",
    messages=[{{"role": "user", "content": "Hello"}}],
)
print(resp.choices[0].message.content)"""

_NODE: Final = """\
import OpenAI from "openai";

const client = new OpenAI({{
  baseURL: "{api_url}",
  apiKey: process.env.OPENTOKEN_API_KEY,
}});

const resp = await client.chat.completions.create({{
  model: "{model}",
  messages: [{{ role: "user", content: "Hello" }}],
}});
console.log(resp.choices[0].message.content);"""


@dataclass(frozen=True, slots=True, repr=False)
class Snippets:
    """Lines to paste; only `export` has the secret in it."""

    export: str
    curl: str
    python: str
    node: str


def snippets(api_url: str, secret: Secret) -> Snippets:
    """Returns the lines for the API at *api_url*, which ends with `/v1`."""
    return Snippets(
        export=f'export OPENTOKEN_API_KEY="{secret.reveal()}"',
        curl=_CURL.format(api_url=api_url, model=_MODEL),
        python=_PYTHON.format(api_url=api_url, model=_MODEL),
        node=_NODE.format(api_url=api_url, model=_MODEL),
    )
