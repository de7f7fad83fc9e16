// What a page asks the server for beside the lists: the answer is remembered until the question is another one.

import { ask } from "./api.js";
import { asProblem } from "./forms.js";

/** The memory of one page: the last answer, or why there is none. */
export function remembering() {
  let told = { stamp: null };
  let redraw = () => {};

  async function again(path, stamp) {
    // What was known is shown until there is something newer.
    told = { ...told, stamp };
    let found;
    try {
      found = { stamp, answer: await ask("GET", path) };
    } catch (error) {
      found = { stamp, problem: asProblem(error) };
    }
    // It was overtaken by another question.
    if (told.stamp !== stamp) return;
    told = found;
    redraw();
  }

  return {
    /** Begins anew, and draws with each answer, until what is returned is called. */
    follow(draw) {
      redraw = draw;
      told = { stamp: null };
      draw();
      return () => { redraw = () => {}; };
    },
    /** What is known at `path`; it is asked for when `stamp`, all that the answer depends on, is another one than before. */
    of(path, stamp) {
      if (told.stamp !== stamp) again(path, stamp);
      return told;
    },
    /** Asks although nothing is known to have changed. */
    again,
  };
}
