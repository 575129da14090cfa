// Makes wasm-bindgen's glue belong to an instance.
//
// The glue keeps its instance, its views of the memory and more in module variables, so a page could have only one
// instance and never replace one that trapped. We put the glue's text into a function: every call has its own.

/** The module text of `tidewire_bg.js`, as a module that exports `instantiate` and `instantiateSync`. */
export function isolate(glue) {
  const names = [];
  const body = glue.replaceAll(EXPORTED, (_, kind, name) => {
    names.push(name);
    return `${kind} ${name}`;
  });
  const unexpected = body.match(/^(?:import|export)\b.*/m);
  if (unexpected) throw new Error(`wasm-bindgen's glue has a new shape: ${unexpected[0]}`);

  const imports = names.filter((name) => name.startsWith("__wb") && name !== "__wbg_set_wasm");
  const exports = names.filter((name) => !name.startsWith("__wb"));
  return `// Made by .ci/tasks/glue.mjs.
function bind() {
${body}
return {
  imports: { "./tidewire_bg.js": { ${imports.join(", ")} } },
  start({ exports }) {
    __wbg_set_wasm(exports);
    exports.__wbindgen_start();
    return { memory: exports.memory, ${exports.join(", ")} };
  },
};
}

export async function instantiate(module) {
  const glue = bind();
  return glue.start(await WebAssembly.instantiate(module, glue.imports));
}

export function instantiateSync(module) {
  const glue = bind();
  return glue.start(new WebAssembly.Instance(module, glue.imports));
}
`;
}

const EXPORTED = /^export (function|class|const) (\w+)/gm;
