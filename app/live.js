// Asks, as often as the server lets it, what is new (see live.py): of the run that is shown, which it draws; of what stands
// above the tabs (standing.js); and of jobs, for whose news the tab that is shown has a button that nobody sees (pulse.py).
(() => {
  const viewer = Math.random().toString(36).slice(2);
  let shown = "", stamp = "", followed = "", marked = "", logged = -1, next = 0, asking = false;
  let parts = {};
  let pulses = {};
  const beats = {}, rested = {};

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
  const news = (told, rest) => {
    for (const [name, value] of Object.entries(told)) {
      const button = document.getElementById(`pulse-${name}`);
      if (!button?.closest("[role=tabpanel]")?.offsetParent) {  // its tab is brought up to date when it is shown
        delete pulses[name];
        delete rested[name];
        continue;
      }
      if ((pulses[name] ?? "") !== value) {
        const late = name in pulses && !beats[name] ? Math.random() * (rest - 1000) : 0;  // many pages learn it at once
        rested[name] = Math.max(rested[name] ?? 0, Date.now() + late);
        beats[name] = 2;  // once more at a later answer: what a handler has begun may be shown after this
      }
      pulses[name] = value;
      if (!beats[name] || Date.now() < rested[name]) continue;
      beats[name] -= 1;
      rested[name] = Date.now() + rest;
      button.click();
    }
  };
  const visible = (element) => Boolean(element?.offsetParent);
  const watched = () => visible(document.getElementById("run-panel")) && document.querySelector("#run-shown [data-run]");
  const ask = async () => {
    if (document.hidden || asking) return;
    const mark = watched();
    if (mark && mark.dataset.run !== shown) {
      [shown, stamp, logged, parts] = [mark.dataset.run, "", 0, {}];
      document.querySelector("#run-log [data-log]").textContent = "";
    }
    const wanted = { viewer, queue: visible(document.getElementById("queue-box")) };
    if (mark) Object.assign(wanted, { run: shown, stamp, log: log()?.open ? logged : -1 });
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
    if (said.standing) window.studioStands(said.standing);
    news(said.pulses, said.event);
    if (!mark) return;
    const now = watched();
    if (now && now.dataset.run !== shown) { next = 0; return; }  // another run was chosen meanwhile
    if (now) draw(said, now);
  };
  const look = () => {
    const mark = `${watched()?.outerHTML} ${visible(document.getElementById("queue-box"))}`;
    if (mark === marked && Date.now() < next) return;
    marked = mark;
    ask();
  };
  window.studioAsk = () => { next = 0; look(); };

  document.addEventListener("visibilitychange", window.studioAsk);
  document.addEventListener("toggle", (event) => { if (event.target === log()) next = 0; }, true);
  setInterval(look, 200);  // also when another run is chosen
})();
