"""The openai and anthropic Python libraries against a base address: says what they heard as one line of JSON."""

import base64
import json
import sys

import anthropic
import openai

base, key = sys.argv[1], sys.argv[2]
models = sys.argv[3:]
openai_client = openai.OpenAI(base_url=f"{base}/v1", api_key=key, max_retries=0)
anthropic_client = anthropic.Anthropic(base_url=base, api_key=key, max_retries=0)
PICTURE = base64.b64encode(b"not really a picture").decode()
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}, "days": {"type": "integer"}}}


def by_openai(model):
    ask = openai_client.chat.completions.create
    question = [{"role": "user", "content": "good morning to all"}]
    whole = ask(model=model, messages=question)
    raw = openai_client.chat.completions.with_raw_response.create(model=model, messages=question)
    reason = raw.headers["x-foreman-reason"]
    stream = list(ask(model=model, messages=question, stream=True, stream_options={"include_usage": True}))
    plain = list(ask(model=model, messages=question, stream=True))
    tools = [{"type": "function", "function": {"name": "weather", "parameters": SCHEMA}}]
    with openai_client.chat.completions.stream(model=model, messages=question, tools=tools) as events:
        called = events.get_final_completion().choices[0]
    call = called.message.tool_calls[0]
    told = question + [
        {"role": "assistant", "content": None, "tool_calls": [call.model_dump(include={"id": True, "type": True, "function": {"name", "arguments"}})]},
        {"role": "tool", "tool_call_id": call.id, "content": "sunny"},
    ]
    picture = [{"role": "user", "content": [
        {"type": "text", "text": "see"},
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PICTURE}"}},
    ]}]
    return {
        "whole": whole.choices[0].message.content,
        "input": whole.usage.prompt_tokens,
        "reason": reason,
        "stream": "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices),
        "counted": stream[-1].usage.prompt_tokens,
        "uncounted": all(chunk.choices for chunk in plain),
        "called": [called.finish_reason, call.function.name, json.loads(call.function.arguments)],
        "answered": ask(model=model, messages=told, tools=tools).choices[0].message.content,
        "picture": ask(model=model, messages=picture).choices[0].message.content,
    }


def by_anthropic(model):
    ask = anthropic_client.messages.create
    question = [{"role": "user", "content": "good morning to all"}]
    whole = ask(model=model, max_tokens=100, messages=question, system="Be brief.")
    with anthropic_client.messages.stream(model=model, max_tokens=100, messages=question) as stream:
        said = "".join(stream.text_stream)
        final = stream.get_final_message()
    tools = [{"name": "weather", "input_schema": SCHEMA}]
    with anthropic_client.messages.stream(model=model, max_tokens=100, messages=question, tools=tools) as stream:
        called = stream.get_final_message()
    call = called.content[-1]
    told = question + [
        {"role": "assistant", "content": [{"type": "tool_use", "id": call.id, "name": call.name, "input": call.input}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": call.id, "content": "sunny"}]},
    ]
    picture = [{"role": "user", "content": [
        {"type": "text", "text": "see"},
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PICTURE}},
    ]}]
    return {
        "whole": whole.content[0].text,
        "input": whole.usage.input_tokens + whole.usage.cache_read_input_tokens,
        "stream": said,
        "counted": final.usage.output_tokens,
        "called": [called.stop_reason, call.name, call.input],
        "answered": ask(model=model, max_tokens=100, messages=told, tools=tools).content[0].text,
        "picture": ask(model=model, max_tokens=100, messages=picture).content[0].text,
    }


def refused(act):
    try:
        act()
    except (openai.APIStatusError, anthropic.APIStatusError) as error:
        return [type(error).__name__, error.status_code]
    except (openai.APIError, anthropic.APIError) as error:
        return [type(error).__name__, None]
    return None


ask = [{"role": "user", "content": "hello"}]
heard = {
    "openai": {model: by_openai(model) for model in models},
    "anthropic": {model: by_anthropic(model) for model in models},
    "models": "auto" in [model.id for model in openai_client.models.list()],
    "anthropic_models": "auto" in [model.id for model in anthropic_client.models.list()],
    "embedding": len(openai_client.embeddings.create(model="text-embedding-3-small", input="a", encoding_format="float").data),
    "unknown": [
        refused(lambda: openai_client.chat.completions.create(model="nothing", messages=ask)),
        refused(lambda: anthropic_client.messages.create(model="nothing", max_tokens=9, messages=ask)),
    ],
    "broken": [
        refused(lambda: list(openai_client.chat.completions.create(model="openai/breaks-off", messages=ask, stream=True))),
        refused(lambda: list(anthropic_client.messages.create(model="openai/breaks-off", max_tokens=9, messages=ask, stream=True))),
    ],
}
print(json.dumps(heard))
