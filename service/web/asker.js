/** Never more than one request under way; when it is over, the last state is asked if it is another. */

const TRIES = 3;
const LONGEST_WAIT_S = 10;

export class Asker {
  #wanted = null;
  #running = false;
  #stopped = false;
  #interest = new AbortController(); // in what is under way
  #wake = () => {};

  /**
   * `answered` is called with what was asked, and its answer; `failed` with the Fault, and with what then is
   * missing beside an answer that stays; `waiting` with whether an answer is waited for.
   */
  constructor({ answered, failed, waiting }) {
    this.answered = answered;
    this.failed = failed;
    this.waiting = waiting;
  }

  /** `ask`: makes the request, with a signal, from the state as it is when its turn comes; resolves to the answer. */
  want(ask) {
    this.#want({ ask, missing: null });
  }

  /** Once more behind the answer; dropped where another state is wanted by then. `missing`: what comes, in words. */
  wantAlso(ask, missing) {
    if (!this.#wanted) this.#want({ ask, missing });
  }

  /** What is under way is not shown any more; nothing further is asked. */
  stop() {
    this.#stopped = true;
    this.forget();
  }

  /** What waits is not asked, and what is under way is given up. */
  forget() {
    this.#wanted = null;
    this.#interest.abort();
    this.#interest = new AbortController();
    this.waiting(false);
    this.#wake();
  }

  #want(wanted) {
    if (this.#stopped) return;
    this.#wanted = wanted;
    this.#wake();
    if (!this.#running) this.#run();
  }

  async #run() {
    this.#running = true;
    try {
      while (this.#wanted) {
        const wanted = this.#wanted;
        this.#wanted = null;
        await this.#settle(wanted, this.#interest.signal);
      }
    } finally {
      this.#running = false;
    }
  }

  /** A service that is busy says when to ask again; a newer state is asked instead. */
  async #settle({ ask, missing }, signal) {
    for (let tries = 1; ; tries += 1) {
      if (!missing) this.waiting(true);
      try {
        const answer = await ask(signal);
        if (signal.aborted || (missing && this.#wanted)) return;
        this.waiting(false);
        this.answered(answer);
        return;
      } catch (fault) {
        if (signal.aborted || (missing && this.#wanted)) return;
        this.waiting(false);
        this.failed(fault, missing);
        const seconds = [429, 503].includes(fault.status) ? fault.retryAfter : null;
        if (!seconds || seconds > LONGEST_WAIT_S || tries === TRIES || this.#wanted) return;
        await this.#pause(seconds);
        if (signal.aborted || this.#wanted) return;
      }
    }
  }

  #pause(seconds) {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, 1000 * seconds);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}
