// Shows a subscription as a list of its newest results, because GraphiQL itself shows only the last one.

const LIMIT = 25;
const PAUSE = 100; // milliseconds between two redraws, at least

/** Wrap a subscription's sink: it receives `{received, newest: [result, …]}`, with the newest result first. */
export function tail(sink) {
  const newest = [];
  let received = 0;
  let timer;

  function show(errors) {
    clearTimeout(timer);
    timer = undefined;
    sink.next({ ...(errors && { errors }), ...(received && { received, newest: [...newest] }) });
  }

  return {
    next(result) {
      received += 1;
      newest.unshift(result);
      newest.length = Math.min(newest.length, LIMIT);
      timer ??= setTimeout(show, PAUSE);
    },
    // show the end above the results, which GraphiQL would remove
    error(reason) {
      show(Array.isArray(reason) ? reason : [{ message: ending(reason) }]);
      sink.complete();
    },
    complete() {
      if (timer !== undefined) {
        show();
      }
      sink.complete();
    },
  };
}

function ending(reason) {
  return reason instanceof CloseEvent
    ? `the connection ended: ${reason.code} ${reason.reason}`.trim()
    : (reason?.message ?? String(reason));
}
