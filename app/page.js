// The few things that need no server: the language of the document, light and dark, copy buttons.
(() => {
  const language = window.studioLanguage === "zh" ? "zh-CN" : window.studioLanguage;
  document.documentElement.lang = language;
  // Gradio words its own controls (upload, search) by the browser's language; on this page they follow the page's.
  for (const [name, value] of [["language", language], ["languages", [language]]]) {
    Object.defineProperty(navigator, name, { get: () => value, configurable: true });
  }

  const stored = () => { try { return localStorage.getItem("studio.theme"); } catch { return null; } };
  const keep = (value) => { try { localStorage.setItem("studio.theme", value); } catch { /* private window */ } };
  const wanted = () => stored() ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
  const show = () => {
    const dark = wanted() === "dark";
    if (document.body.classList.contains("dark") !== dark) document.body.classList.toggle("dark", dark);
    document.documentElement.style.colorScheme = dark ? "dark" : "light";
    document.getElementById("theme-toggle")?.setAttribute("aria-pressed", String(dark));
  };
  const begin = () => {
    show();
    new MutationObserver(show).observe(document.body, { attributes: true, attributeFilter: ["class"] });
  };
  document.body ? begin() : addEventListener("DOMContentLoaded", begin);

  const copy = async (text) => {
    try {
      await navigator.clipboard.writeText(text);
    } catch {  // no secure context: an address other than localhost, without TLS
      const area = Object.assign(document.createElement("textarea"), { value: text });
      document.body.append(area);
      area.select();
      document.execCommand("copy");
      area.remove();
    }
  };
  document.addEventListener("click", async (event) => {
    if (event.target.closest("#theme-toggle")) {
      keep(wanted() === "dark" ? "light" : "dark");
      show();
    }
    if (event.target.closest("#data-table [data-pick]") && innerWidth <= 820) {  // the chosen set stands below the list
      setTimeout(() => document.getElementById("data-about")?.scrollIntoView({ block: "start" }), 400);
    }
    const button = event.target.closest("[data-copy]");
    if (button) {
      await copy(button.dataset.copy);
      const before = button.textContent;
      button.textContent = button.dataset.copied;
      setTimeout(() => { button.textContent = before; }, 1500);
    }
  });
})();
