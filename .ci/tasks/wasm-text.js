// Stands for the text of the wasm while the package is bundled.

export default "THE_WASM_AS_TEXT";
