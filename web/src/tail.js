// Shows a subscription as a list of its newest results, because GraphiQL itself would show the last one only.

const KEPT = 25;
const PAUSE = 100; // milliseconds between two redraws, however fast events arrive

/** Wrap what listens to a subscription: it hears `{received, newest: [result, …]}`, the newest result first. */
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
      newest.length = Math.min(newest.length, KEPT);
      timer ??= setTimeout(show, PAUSE);
    },
    // the end is told on top of what was received, which GraphiQL would wipe away
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
