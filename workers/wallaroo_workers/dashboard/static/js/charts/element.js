// @ts-check
// <live-chart>: an ECharts chart that follows its data, its size and the theme.
//
// .draw   (data, { width, palette }) => ECharts option, optionally with `height`
// .data   the data to draw; another object is drawn again
// label   a description in words, which is all that a screen reader gets

import * as echarts from "../../vendor/echarts/echarts.esm.min.mjs";
import { goTo } from "../router.js";
import { palette } from "./palette.js";

class LiveChart extends HTMLElement {
  #chart = null;
  #draw = null;
  #data = null;
  #width = 0;
  #watch = new ResizeObserver(() => this.#sized());
  #recoloured = () => this.#redraw();

  set draw(draw) {
    if (draw === this.#draw) return;
    this.#draw = draw;
    this.#redraw();
  }

  set data(data) {
    if (data === this.#data) return;
    this.#data = data;
    this.#redraw();
  }

  connectedCallback() {
    this.setAttribute("role", "img");
    this.#watch.observe(this);
    document.addEventListener("theme-changed", this.#recoloured);
  }

  disconnectedCallback() {
    this.#watch.disconnect();
    document.removeEventListener("theme-changed", this.#recoloured);
    this.#chart?.dispose();
    this.#chart = null;
    this.#width = 0;
  }

  #sized() {
    if (this.clientWidth === 0) return;
    const isWider = this.clientWidth !== this.#width;
    this.#width = this.clientWidth;
    if (isWider) this.#redraw();
    else this.#chart?.resize();
  }

  #redraw() {
    if (!this.#draw || this.#data === null || !this.isConnected || !this.#width) return;
    const { height, ...option } = this.#draw(this.#data, {
      width: this.#width,
      palette: palette(),
    });
    if (height) this.style.height = `${height}px`;
    if (!this.#chart) {
      this.#chart = echarts.init(this, null, { renderer: "canvas" });
      this.#chart.on("click", (event) => event.data?.path && goTo(event.data.path));
    } else {
      this.#chart.resize();
    }
    this.#chart.setOption({ animation: false, ...option }, { notMerge: true, lazyUpdate: true });
  }
}

customElements.define("live-chart", LiveChart);
