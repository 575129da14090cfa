// Dark or light: what the system wants, until the visitor decides.

export function startTheme(button: HTMLElement): void {
  const system = matchMedia("(prefers-color-scheme: dark)");
  const show = () => {
    const chosen = localStorage.getItem(KEY);
    document.documentElement.dataset.theme = chosen ?? "system";
    const isDark = chosen ? chosen === "dark" : system.matches;
    button.textContent = isDark ? "Light" : "Dark";
    button.setAttribute("aria-label", `Switch to ${isDark ? "light" : "dark"} colours`);
  };
  button.addEventListener("click", () => {
    localStorage.setItem(KEY, button.textContent === "Light" ? "light" : "dark");
    show();
  });
  system.addEventListener("change", show);
  show();
}

const KEY = "tidewire-demo-theme";
