/** Never more than one request under way; when it is over, the last state is asked if it is another. */

const TRIES = 3;
const LONGEST_WAIT_S = 10;

export class Asker {
  #wanted = null;
  #running = false;
  #stopped = false;
  #wake = () => {};

  /** `answered` is called with what was asked, and its answer; `failed` with the Fault. */
  constructor({ answered, failed }) {
    this.answered = answered;
    this.failed = failed;
  }

  /** `ask`: makes the request from the state as it is when its turn comes, and resolves to the answer. */
  want(ask) {
    this.#wanted = ask;
    this.#wake();
    if (!this.#running) this.#run();
  }

  /** Once more behind the answer, unless the state is another by then. */
  wantAlso(ask) {
    if (!this.#wanted) this.want(ask);
  }

  /** What is under way is not shown any more; nothing further is asked. */
  stop() {
    this.#stopped = true;
    this.forget();
  }

  /** What waits is not asked. */
  forget() {
    this.#wanted = null;
    this.#wake();
  }

  async #run() {
    this.#running = true;
    try {
      while (this.#wanted) {
        const ask = this.#wanted;
        this.#wanted = null;
        await this.#settle(ask);
      }
    } finally {
      this.#running = false;
    }
  }

  /** A service that is busy says when to ask again; a newer state is asked instead. */
  async #settle(ask) {
    for (let tries = 1; ; tries += 1) {
      try {
        const answer = await ask();
        if (!this.#stopped) this.answered(answer);
        return;
      } catch (fault) {
        if (this.#stopped) return;
        this.failed(fault);
        const seconds = [429, 503].includes(fault.status) ? fault.retryAfter : null;
        if (!seconds || seconds > LONGEST_WAIT_S || tries === TRIES || this.#wanted) return;
        await this.#pause(seconds);
        if (this.#stopped || this.#wanted) return;
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
