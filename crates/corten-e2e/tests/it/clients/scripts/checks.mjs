// Runs checks one after the other and tells each: `ok NAME`, or the trace of what was not so.

import assert from 'node:assert/strict';

import { ApiException } from '@kubernetes/client-node';

/// Runs the checks in order; a check's name is the sentence that has to hold. Ends the process: with 1 if one failed.
export async function run(checks, world) {
    let failed = 0;
    for (const check of checks) {
        const started = performance.now();
        try {
            await check(world);
            console.log(`ok ${check.name} (${((performance.now() - started) / 1000).toFixed(2)} s)`);
        } catch (error) {
            failed += 1;
            console.log(`FAILED ${check.name}\n${error.stack}`);
        }
    }
    process.exit(failed === 0 ? 0 : 1);
}

/// The call has to fail with this answer, whose body has to be a Status that says the same.
export async function refused(code, reason, message, call) {
    const error = await call().then(
        (answer) => assert.fail(`no error but ${JSON.stringify(answer)}`),
        (error) => error,
    );
    assert(error instanceof ApiException, error.stack);
    const status = typeof error.body === 'string' ? JSON.parse(error.body) : error.body;
    assert.deepEqual([error.code, status.kind, status.code, status.reason], [code, 'Status', code, reason]);
    if (message !== undefined) {
        assert.equal(status.message, message);
    }
}

/// Looks again until there is something; what is seen from outside has no event to wait for.
export async function eventually(what, look, seconds = 60) {
    const deadline = performance.now() + seconds * 1000;
    for (;;) {
        const found = await look();
        if (found) {
            return found;
        }
        assert(performance.now() < deadline, `after ${seconds} s, not yet: ${what}`);
        await new Promise((resolve) => setTimeout(resolve, 50));
    }
}

/// Watches until `enough` accepts what was seen, or the server ends it; gives the events, and the error if there was one.
export function watched(watch, path, query, enough) {
    return new Promise((resolve, reject) => {
        const events = [];
        let stop = () => {};
        let ended = false;
        const end = (error) => {
            if (!ended) {
                ended = true;
                resolve({ events, error });
                stop();
            }
        };
        const see = (type, object, whole) => {
            if (ended) {
                return;
            }
            events.push([type, object, whole]);
            if (enough(events)) {
                end();
            }
        };
        watch.watch(path, query, see, end).then((request) => {
            stop = () => request.abort();
            if (ended) {
                stop();
            }
        }, reject);
    });
}
