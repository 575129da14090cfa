// A page is told by its address which hub to use.

export const address = () => JSON.parse(decodeURIComponent(location.hash.slice(1)));
