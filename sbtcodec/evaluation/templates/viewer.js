// The before/after viewer: two pictures under a divider, zoom, pan, and their difference.
// Its markup is in viewer.html; the pictures are <img> elements elsewhere in the page.
"use strict";

const DIFFERENCE_GAIN = 4;
const PAN_STEP = 64;

class Viewer {
  constructor(root) {
    const find = (name) => root.querySelector(`.viewer-${name}`);
    this.root = root;
    this.width = Number(root.dataset.width);
    this.height = Number(root.dataset.height);
    this.left = find("left");
    this.right = find("right");
    this.stage = find("stage");
    this.under = find("under");
    this.over = find("over");
    this.delta = find("delta");
    this.handle = find("handle");
    this.difference = find("difference");
    this.result = find("result");
    this.captions = { left: find("caption-left"), right: find("caption-right") };
    this.zooms = [...root.querySelectorAll(".viewer-zoom input")];
    this.canvas = document.createElement("canvas");
    this.canvas.setAttribute("role", "img");
    this.delta.append(this.canvas);
    for (const layer of [this.under, this.over]) layer.append(document.createElement("img"));
    this.position = 50; // of the divider: per cent of the visible part of the picture
    this.centre = { x: this.width / 2, y: this.height / 2 }; // what is in the middle of the stage
    this.request = 0;

    for (const select of [this.left, this.right]) {
      select.addEventListener("change", () => this.show());
    }
    this.difference.addEventListener("change", () => this.show());
    find("swap").addEventListener("click", () => this.swap());
    for (const zoom of this.zooms) zoom.addEventListener("change", () => this.place());
    root.addEventListener("keydown", (event) => this.key(event));
    this.listenToPointers();
    root.hidden = false;
    new ResizeObserver(() => this.place()).observe(this.stage);
    this.show();
  }

  // Choosing pictures

  choose(id) {
    this.right.value = id;
    this.show();
    const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
    this.root.scrollIntoView({ block: "nearest", behavior: calm ? "auto" : "smooth" });
  }

  swap() {
    [this.left.value, this.right.value] = [this.right.value, this.left.value];
    this.show();
  }

  label(select) {
    return select.selectedOptions[0].textContent;
  }

  show() {
    const sides = [[this.over, this.left, "left"], [this.under, this.right, "right"]];
    for (const [layer, select, side] of sides) {
      const picture = layer.querySelector("img");
      picture.src = document.getElementById(select.value).src;
      picture.alt = this.label(select);
      const name = document.createElement("b");
      name.textContent = this.label(select);
      this.captions[side].replaceChildren(name, " ", select.selectedOptions[0].dataset.detail);
    }
    const on = this.difference.checked;
    this.over.hidden = this.under.hidden = this.handle.hidden = on;
    this.delta.hidden = !on;
    this.result.textContent = "";
    this.request += 1;
    if (on) this.showDifference(this.request);
    this.place();
  }

  async showDifference(request) {
    const [a, b] = await Promise.all([this.left, this.right].map(async (select) => {
      const picture = document.getElementById(select.value);
      await picture.decode();
      return this.pixels(picture);
    }));
    if (request !== this.request) return; // something else was chosen meanwhile
    let largest = 0;
    for (let i = 0; i < a.data.length; i += 1) {
      if (i % 4 === 3) continue; // alpha stays opaque
      const distance = Math.abs(a.data[i] - b.data[i]);
      if (distance > largest) largest = distance;
      a.data[i] = DIFFERENCE_GAIN * distance; // a clamped array: stops at 255
    }
    this.canvas.width = this.width;
    this.canvas.height = this.height;
    this.canvas.getContext("2d").putImageData(a, 0, 0);
    const names = `${this.label(this.left)} and ${this.label(this.right)}`;
    this.canvas.setAttribute("aria-label", `Absolute difference of ${names}, times ${DIFFERENCE_GAIN}`);
    this.result.textContent = largest === 0
      ? "No difference: all pixels are equal"
      : `|left − right| × ${DIFFERENCE_GAIN}, largest difference ${largest} of 255`;
  }

  pixels(picture) {
    const canvas = document.createElement("canvas");
    canvas.width = this.width;
    canvas.height = this.height;
    const context = canvas.getContext("2d", { willReadFrequently: true });
    context.drawImage(picture, 0, 0);
    return context.getImageData(0, 0, this.width, this.height);
  }

  // Placing them

  fit() {
    return Math.min(this.stage.clientWidth / this.width, this.stage.clientHeight / this.height);
  }

  scale() {
    const chosen = this.zooms.find((zoom) => zoom.checked).value;
    return chosen === "fit" ? this.fit() : Number(chosen);
  }

  place() {
    const scale = this.scale();
    const axes = [["x", this.width, this.stage.clientWidth], ["y", this.height, this.stage.clientHeight]];
    const offset = {};
    this.canPan = false;
    for (const [axis, size, room] of axes) {
      const shown = size * scale;
      if (shown <= room + 1) {
        offset[axis] = Math.round((room - shown) / 2);
        this.centre[axis] = size / 2;
      } else {
        const half = room / 2 / scale;
        this.centre[axis] = Math.min(Math.max(this.centre[axis], half), size - half);
        offset[axis] = Math.round(room / 2 - this.centre[axis] * scale);
        this.canPan = true;
      }
    }
    for (const layer of [this.under, this.over, this.delta]) {
      const { style } = layer.firstElementChild;
      style.width = `${this.width * scale}px`;
      style.height = `${this.height * scale}px`;
      style.transform = `translate(${offset.x}px, ${offset.y}px)`;
      // At a scale that is no whole number, square pixels would come out of unequal sizes.
      style.imageRendering = scale > 1 && !this.zooms[0].checked ? "pixelated" : "auto";
    }
    this.start = Math.max(0, offset.x);
    this.stop = Math.min(this.stage.clientWidth, offset.x + this.width * scale);
    this.stage.classList.toggle("can-pan", this.canPan);
    this.divide();
  }

  divide() {
    const at = this.start + (this.position / 100) * (this.stop - this.start);
    this.over.style.clipPath = `inset(0 calc(100% - ${at.toFixed(2)}px) 0 0)`;
    this.handle.style.left = `${at.toFixed(2)}px`;
    const value = Math.round(this.position);
    this.handle.setAttribute("aria-valuenow", value);
    this.handle.setAttribute(
      "aria-valuetext",
      `${value} per cent ${this.label(this.left)}, ${100 - value} per cent ${this.label(this.right)}`,
    );
  }

  move(position) {
    this.position = Math.min(100, Math.max(0, position));
    this.divide();
  }

  zoomBy(direction) {
    const now = this.scale();
    const scaleOf = (zoom) => (zoom.value === "fit" ? this.fit() : Number(zoom.value));
    const [fit, ...fixed] = this.zooms;
    const further = [...fixed, fit] // where fit is as large as another, that one comes first
      .filter((zoom) => direction * (scaleOf(zoom) - now) > 0.001)
      .sort((a, b) => direction * (scaleOf(a) - scaleOf(b)));
    if (further.length > 0) this.zoomTo(further[0]);
  }

  zoomTo(zoom) {
    zoom.checked = true;
    this.place();
  }

  pan(x, y) {
    const scale = this.scale();
    this.centre.x += x / scale;
    this.centre.y += y / scale;
    this.place();
  }

  // Keys and pointers

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("select")) return;
    const act = this.keyAction(event);
    if (!act) return;
    event.preventDefault();
    act();
  }

  keyAction(event) {
    const anywhere = {
      "+": () => this.zoomBy(1),
      "=": () => this.zoomBy(1),
      "-": () => this.zoomBy(-1),
      0: () => this.zoomTo(this.zooms[0]),
      d: () => { this.difference.checked = !this.difference.checked; this.show(); },
      x: () => this.swap(),
    };
    const step = event.shiftKey ? 10 : 1;
    const onHandle = {
      ArrowLeft: () => this.move(this.position - step),
      ArrowDown: () => this.move(this.position - step),
      ArrowRight: () => this.move(this.position + step),
      ArrowUp: () => this.move(this.position + step),
      PageDown: () => this.move(this.position - 10),
      PageUp: () => this.move(this.position + 10),
      Home: () => this.move(0),
      End: () => this.move(100),
    };
    const onStage = {
      ArrowLeft: () => this.pan(-PAN_STEP, 0),
      ArrowRight: () => this.pan(PAN_STEP, 0),
      ArrowUp: () => this.pan(0, -PAN_STEP),
      ArrowDown: () => this.pan(0, PAN_STEP),
    };
    let here = {};
    if (event.target === this.handle) here = onHandle;
    if (event.target === this.stage && this.canPan) here = onStage;
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    return here[key] ?? anywhere[key];
  }

  listenToPointers() {
    let drag = null;
    const positionOf = (event) => {
      const at = event.clientX - this.stage.getBoundingClientRect().left;
      return (100 * (at - this.start)) / Math.max(1, this.stop - this.start);
    };
    this.stage.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      const divides = event.target === this.handle || (!this.canPan && !this.difference.checked);
      if (!divides && !this.canPan) return;
      drag = { divides, x: event.clientX, y: event.clientY };
      this.stage.setPointerCapture(event.pointerId);
      this.stage.classList.add("is-dragging");
      if (divides) {
        this.handle.focus({ preventScroll: true });
        if (event.target !== this.handle) this.move(positionOf(event));
        event.preventDefault(); // it would move the focus to the stage
      }
    });
    this.stage.addEventListener("pointermove", (event) => {
      if (drag === null) return;
      if (drag.divides) {
        this.move(positionOf(event));
      } else {
        this.pan(drag.x - event.clientX, drag.y - event.clientY);
        drag.x = event.clientX;
        drag.y = event.clientY;
      }
    });
    for (const name of ["pointerup", "pointercancel"]) {
      this.stage.addEventListener(name, () => {
        drag = null;
        this.stage.classList.remove("is-dragging");
      });
    }
  }
}

const viewers = new Map();
for (const root of document.querySelectorAll(".viewer")) viewers.set(root.id, new Viewer(root));
for (const button of document.querySelectorAll("button.choose")) {
  button.addEventListener("click", () => {
    viewers.get(button.dataset.viewer).choose(button.dataset.choose);
  });
}
