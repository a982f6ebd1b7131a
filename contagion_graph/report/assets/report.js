"use strict";
// The page's own script. Labels come from tables that others wrote: they go into the page by textContent only.
(() => {
  const MOST_LABELS = 30; // of neighbours: more would lie upon each other
  const data = JSON.parse(document.getElementById("data").textContent);
  const byId = (id) => document.getElementById(id);
  const amount = (value) => value.toLocaleString("en", { maximumSignificantDigits: 4, useGrouping: true });
  const short = (label) => (label.length > 14 ? label.slice(0, 13) + "…" : label);
  const percent = (share) => (100 * share).toLocaleString("en", { maximumFractionDigits: 1, signDisplay: "exceptZero" }) + " %";

  // --- tables -------------------------------------------------------------------------------------------------------
  for (const table of document.querySelectorAll("table.data")) {
    const long = table.tBodies[0].rows.length > 25;
    new DataTable(table, {
      order: [],
      paging: long,
      pageLength: 25,
      info: long,
      autoWidth: false,
      layout: { topStart: "search", topEnd: null },
      language: { search: "Filter:" },
    });
    const search = table.closest(".dt-container").querySelector("input[type=search]");
    search.setAttribute("aria-label", "filter " + table.caption.textContent);
    const frame = table.parentElement; // arrow keys scroll it
    frame.tabIndex = 0;
    frame.setAttribute("role", "region");
    frame.setAttribute("aria-label", table.caption.textContent);
  }

  // --- graph --------------------------------------------------------------------------------------------------------
  const outwards = (one) => (one.x < 0 ? { beside: "left", off: -3 } : { beside: "right", off: 3 });
  const traders = data.traders.map((trader, k) => ({ ...trader, ...outwards(trader), id: "t" + k, side: "trader" }));
  const assets = data.assets.map((asset, k) => ({ ...asset, id: "a" + k, side: "asset" }));
  const node = (one) => ({ data: { ...one, shown: one.label }, position: { x: one.x, y: one.y }, classes: one.side });
  const edges = data.edges.map(([trader, asset, value, width]) => ({
    data: { source: "t" + trader, target: "a" + asset, value, width },
    classes: value < 0 ? "short" : "long",
  }));
  const graph = cytoscape({
    container: byId("graph-view"),
    elements: [...traders.map(node), ...assets.map(node), ...edges],
    layout: { name: "preset", padding: 24 },
    userZoomingEnabled: matchMedia("(pointer: coarse)").matches, // a wheel scrolls the page, two fingers zoom
    minZoom: 0.1,
    maxZoom: 8,
    autoungrabify: true,
    style: [
      { selector: "node", style: { "font-size": 12, "text-wrap": "ellipsis", "text-max-width": 110, "border-width": 1 } },
      { selector: "node", style: { "border-color": "#333", "text-outline-color": "#fff", "text-outline-width": 2 } },
      { selector: ".trader", style: { width: "data(size)", height: "data(size)", "background-color": "#fff" } },
      { selector: ".trader", style: { "text-valign": "center", "text-halign": "data(beside)", "text-margin-x": "data(off)" } },
      { selector: ".trader.named", style: { label: "data(label)" } },
      { selector: ".trader.closed", style: { "background-color": "#333" } },
      { selector: ".trader.now", style: { "background-color": "#d55e00", "border-width": 4, "border-color": "#000" } },
      { selector: ".asset", style: { shape: "round-rectangle", width: 22, height: 22, "background-color": "#e5e5e5" } },
      { selector: ".asset", style: { label: "data(shown)", "text-wrap": "wrap", "font-weight": "bold" } },
      { selector: ".asset.down", style: { "background-color": "#d55e00" } },
      { selector: ".asset.up", style: { "background-color": "#56b4e9" } },
      { selector: "edge", style: { width: "data(width)", "line-color": "#b5b5b5", opacity: 0.5 } },
      { selector: "edge.short", style: { "line-style": "dashed", "line-color": "#666" } },
      { selector: "edge.sold", style: { opacity: 0.12 } },
      { selector: ".faded", style: { opacity: 0.08, "text-opacity": 0 } },
      { selector: "edge.near", style: { "line-color": "#0072b2", opacity: 0.9 } },
      { selector: ".chosen", style: { "border-width": 5, "border-color": "#0072b2" } },
      { selector: ".trader.labelled", style: { label: "data(label)" } },
    ],
  });
  graph.nodes(".trader").slice(0, data.named).addClass("named");

  // --- rounds -------------------------------------------------------------------------------------------------------
  const slider = byId("round");
  const play = byId("play");
  let timer = null;

  function show(number) {
    const step = data.steps[number];
    const before = number > 0 ? data.steps[number - 1].round : 0;
    slider.value = number;
    graph.batch(() => {
      for (const one of graph.nodes(".trader")) {
        const round = one.data("round");
        one.toggleClass("now", round > before && round <= step.round);
        one.toggleClass("closed", round > 0 && round <= before);
        one.connectedEdges().toggleClass("sold", one.data("whole") && round > 0 && round <= step.round);
      }
      for (const [k, change] of step.changes.entries()) {
        const one = graph.getElementById("a" + k);
        one.data("shown", short(one.data("label")) + "\n" + percent(change));
        one.toggleClass("down", change < -0.0005).toggleClass("up", change > 0.0005);
      }
    });
    slider.setAttribute("aria-valuetext", step.words);
    byId("status").textContent = step.words;
  }

  function stop() {
    clearInterval(timer);
    timer = null;
    play.textContent = "Play";
  }

  function start() {
    if (Number(slider.value) === data.steps.length - 1) show(0);
    play.textContent = "Pause";
    timer = setInterval(() => {
      show(Number(slider.value) + 1);
      if (Number(slider.value) === data.steps.length - 1) stop();
    }, 900);
  }

  play.addEventListener("click", () => (timer === null ? start() : stop()));
  slider.addEventListener("input", () => {
    stop();
    show(Number(slider.value));
  });

  // --- one node and its neighbours ----------------------------------------------------------------------------------
  function make(tag, text, parent) {
    const made = document.createElement(tag);
    made.textContent = text;
    parent.append(made);
    return made;
  }

  function clear(words = "") {
    graph.elements().removeClass("faded near chosen labelled");
    byId("chosen").replaceChildren();
    byId("found").textContent = words;
  }

  function choose(one) {
    clear();
    const near = one.closedNeighborhood();
    graph.elements().not(near).addClass("faded");
    near.not(one).addClass("near");
    one.addClass("chosen labelled");
    if (near.nodes().length <= MOST_LABELS) near.addClass("labelled");
    const panel = byId("chosen");
    const holdings = one.connectedEdges().sort((a, b) => Math.abs(b.data("value")) - Math.abs(a.data("value")));
    make("h3", one.data("label"), panel);
    make("p", one.data("words"), panel);
    const list = make("ul", "", panel);
    for (const edge of holdings) {
      const other = edge.connectedNodes().not(one)[0];
      const item = make("li", "", list);
      make("button", other.data("label"), item).addEventListener("click", () => choose(other));
      const side = edge.data("value") < 0 ? " short " : " long ";
      item.append(side + amount(Math.abs(edge.data("value"))));
    }
    const what = one.data("side") === "trader" ? "asset" : "trader";
    byId("found").textContent = `${one.data("label")}: ${holdings.length} ${what}${holdings.length === 1 ? "" : "s"}`;
  }

  function search() {
    const wanted = byId("search").value.trim().toLowerCase();
    if (!wanted) return clear();
    const labels = graph.nodes().toArray();
    const hit =
      labels.find((one) => one.data("label").trim().toLowerCase() === wanted) ||
      labels.find((one) => one.data("label").toLowerCase().includes(wanted));
    if (hit) choose(hit);
    else clear("Not among the nodes of this view; the table of traders may have it.");
  }

  for (const one of [...traders, ...assets]) make("option", "", byId("labels")).value = one.label;
  byId("search").addEventListener("change", search);
  byId("search").addEventListener("keydown", (event) => event.key === "Enter" && search());
  graph.on("tap", "node", (event) => choose(event.target));
  graph.on("tap", (event) => event.target === graph && clear());

  function zoom(factor) {
    graph.zoom({ level: graph.zoom() * factor, renderedPosition: { x: graph.width() / 2, y: graph.height() / 2 } });
  }
  const fit = () => graph.fit(undefined, 24);
  byId("closer").addEventListener("click", () => zoom(1.4));
  byId("farther").addEventListener("click", () => zoom(1 / 1.4));
  byId("fit").addEventListener("click", fit);

  function walk(steps) {
    const all = graph.nodes().toArray();
    const now = all.findIndex((one) => one.hasClass("chosen"));
    choose(all[(Math.max(now, steps < 0 ? 0 : -1) + steps + all.length) % all.length]);
  }
  const keys = {
    ArrowRight: () => walk(1),
    ArrowDown: () => walk(1),
    ArrowLeft: () => walk(-1),
    ArrowUp: () => walk(-1),
    "+": () => zoom(1.4),
    "-": () => zoom(1 / 1.4),
    0: fit,
    Escape: () => clear(),
  };
  byId("graph-view").addEventListener("keydown", (event) => {
    if (!(event.key in keys)) return;
    event.preventDefault();
    keys[event.key]();
  });
  addEventListener("resize", fit);
  addEventListener("beforeprint", () => {
    byId("printed").src = graph.png({ full: true, scale: 2, maxWidth: 1600 }); // paper has no canvas of the right size
  });

  show(data.steps.length - 1);
  fit();
  byId("graph-view").graph = graph; // for tests, and for the browser's console
})();
