// The form below a room: a name, which the browser keeps, and a line.

import { type FormEvent, useState } from "react";
import { AUTHOR_CHARS_MAX, type Line, TEXT_CHARS_MAX } from "./topics";

export function Composer({ onLine }: { onLine: (line: Line) => void }) {
  const [author, setAuthor] = useState(() => localStorage.getItem(NAME_KEY) ?? "");
  const [text, setText] = useState("");
  const rename = (name: string) => {
    setAuthor(name);
    localStorage.setItem(NAME_KEY, name);
  };
  const submit = (event: FormEvent) => {
    event.preventDefault();
    const line = { id: newId(), author: author.trim(), text: text.trim() };
    if (line.author === "" || line.text === "") return;
    onLine(line);
    setText("");
  };
  return (
    <form onSubmit={submit}>
      <label className="author">
        Name
        <input
          value={author}
          onChange={({ target }) => rename(target.value)}
          required
          maxLength={AUTHOR_CHARS_MAX}
          autoComplete="nickname"
        />
      </label>
      <label className="text">
        Message
        <input
          value={text}
          onChange={({ target }) => setText(target.value)}
          required
          maxLength={TEXT_CHARS_MAX}
          autoComplete="off"
        />
      </label>
      <button type="submit">Send</button>
    </form>
  );
}

/** Not `crypto.randomUUID`, which pages without TLS do not have. */
function newId(): string {
  return Array.from(crypto.getRandomValues(new Uint32Array(4)), (n) => n.toString(36)).join("");
}

const NAME_KEY = "chat-name";
