// Asks, as often as the server lets it, what is new of the run that is shown (see live.py), and draws it.
(() => {
  const viewer = Math.random().toString(36).slice(2);
  let shown = "", stamp = "", followed = "", marked = "", logged = -1, next = 0, asking = false;
  let parts = {};
  let pulses = {};
  const beats = {};

  const put = (id, html) => {
    const place = document.querySelector(`#${id} [data-live]`);
    if (!place || place.drawn === html) return;
    if (window.studioRedraw(place, html)) place.drawn = html;
  };
  const log = () => document.querySelector("#run-log details");
  const draw = (said, mark) => {
    if (said.parts) {
      stamp = said.stamp;
      parts = said.parts;
      document.getElementById("run-panel").dataset.can = said.can;
    }
    for (const [id, html] of Object.entries(parts)) put(id, html);
    if (said.log !== undefined) {
      const place = log().querySelector("[data-log]");
      const atEnd = place.scrollTop + place.clientHeight >= place.scrollHeight - 20;
      place.textContent = said.log;
      logged = said.log_size;
      if (atEnd) place.scrollTop = place.scrollHeight;
    }
    if (said.names !== mark.dataset.names && followed !== said.names) {  // a run has come or gone
      followed = said.names;
      document.getElementById("pulse-runs")?.click();
    }
  };
  const news = (told) => {
    for (const [name, value] of Object.entries(told)) {
      if ((pulses[name] ?? "") !== value) beats[name] = 2;  // once more at the next answer: a handler may still be at work
      if (beats[name]-- > 0) document.getElementById(`pulse-${name}`)?.click();
    }
    pulses = told;
  };
  const ask = async () => {
    const mark = document.querySelector("#run-shown [data-run]");
    const watching = document.getElementById("run-panel")?.offsetParent;
    if (!mark || document.hidden || !watching || asking) return;
    if (mark.dataset.run !== shown) {
      [shown, stamp, logged, parts] = [mark.dataset.run, "", 0, {}];
      document.querySelector("#run-log [data-log]").textContent = "";
    }
    const wanted = { run: shown, stamp, viewer, log: log()?.open ? logged : -1 };
    asking = true;
    let said;
    try {
      const answer = await fetch(`/live/${window.studioLanguage}?${new URLSearchParams(wanted)}`);
      if (window.studioConnection.away(answer)) return;
      said = await answer.json();
    } catch {
      window.studioConnection.lost();
      return;
    } finally {
      asking = false;
      const wait = said?.wait ?? 1000;
      next = Date.now() + wait;
      setTimeout(look, wait);
    }
    const now = document.querySelector("#run-shown [data-run]");
    if (now?.dataset.run !== shown) { next = 0; return; }  // another run was chosen meanwhile
    window.studioStands(said.standing, said.wait);
    draw(said, now);
    news(said.pulses);
  };
  const look = () => {
    const mark = document.querySelector("#run-shown [data-run]")?.outerHTML ?? "";
    if (mark === marked && Date.now() < next) return;
    marked = mark;
    ask();
  };

  document.addEventListener("visibilitychange", () => { next = 0; });
  document.addEventListener("toggle", (event) => { if (event.target === log()) next = 0; }, true);
  setInterval(look, 200);  // also when another run is chosen
})();
