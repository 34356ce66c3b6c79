#include "calls.h"

#include "context.h"

#include <pthread.h>

#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <map>

namespace standin {

namespace {

std::atomic<bool> forked{false};

/* What is known about an exported function. */
struct Function {
    long calls = 0;
    long countdown = 0;                 // this many calls from now on it fails, once; 0: it does not
    CUresult fault = CUDA_SUCCESS;
};

/* Globals are never destroyed: threads may still use them while the process ends. */
template <class T> T& immortal() {
    static T& thing = *new T;
    return thing;
}

/* cuMemAlloc for cuMemAlloc_v2 */
std::string plain(const std::string& name) { return name.substr(0, name.rfind("_v")); }

std::map<std::string, Function> faults_from_environment() {
    std::map<std::string, Function> table;
    const char* text = getenv("STANDIN_FAIL");
    char name[64];
    int after, error, length;
    while (text && sscanf(text, "%63[^:]:%d:%d%n", name, &after, &error, &length) == 3) {
        table[plain(name)] = {0, after, CUresult(error)};
        text += length;
        if (*text == ',') text++;
    }
    return table;
}

std::map<std::string, Function>& functions() {
    static auto& all = *new auto(faults_from_environment());
    return all;
}

struct LastError {
    std::mutex mutex;
    std::string text;
};

}  // namespace

std::atomic<bool> ended{false};
thread_local bool in_host_function = false;
std::mutex& Call::mutex = immortal<std::mutex>();
std::atomic<bool> Call::initialized{false};

void fail(CUresult code, const char* format, ...) {
    char text[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    throw Failure{code, text};
}

void record(const Failure& failure) {
    auto& last = immortal<LastError>();
    std::lock_guard<std::mutex> lock(last.mutex);
    last.text = failure.text;
    if (setting("STANDIN_VERBOSE", 0)) fprintf(stderr, "stand-in driver: %s\n", failure.text.c_str());
}

long setting(const char* name, long fallback) {
    const char* text = getenv(name);
    return text && *text ? atol(text) : fallback;
}

Call::Call(const char* name, Stage stage) {
    if (forked) fail(CUDA_ERROR_NOT_INITIALIZED, "the process was forked from one that uses the driver");
    if (ended) fail(CUDA_ERROR_DEINITIALIZED, "the process is ending");
    if (in_host_function) fail(CUDA_ERROR_NOT_PERMITTED, "a function that a stream runs calls the driver");
    lock_ = std::unique_lock<std::mutex>(mutex);
    Function& function = functions()[plain(name)];
    function.calls++;
    if (function.countdown && --function.countdown == 0) {
        Failure failure{function.fault, "an injected fault"};
        if (auto context = top_context(); context && Context::is_fatal(failure.code)) context->spoil(failure);
        throw failure;
    }
    if (stage == INITIALIZED && !initialized) fail(CUDA_ERROR_NOT_INITIALIZED, "cuInit was not called");
}

void Call::initialize() {
    if (initialized) return;
    pthread_atfork(nullptr, nullptr, [] { forked = true; });
    initialized = true;
    halt_at_exit();
}

void halt_at_exit() {
    std::atexit([] {
        if (!forked && !ended.exchange(true)) Stream::halt_all();
    });
}

CUresult report(const char* function, const Failure& failure) {
    if (failure.code != CUDA_ERROR_NOT_READY) record({failure.code, std::string(function) + ": " + failure.text});
    return failure.code;
}

}  // namespace standin

using namespace standin;

/* The after-th next call of that function returns that error. */
EXPORT void standin_fail(const char* function, int after, int error) {
    std::lock_guard<std::mutex> no_call(Call::mutex);
    Function& entry = functions()[plain(function)];
    entry.countdown = after;
    entry.fault = CUresult(error);
}

EXPORT long standin_calls(const char* function) {
    std::lock_guard<std::mutex> no_call(Call::mutex);
    return functions()[plain(function)].calls;
}

EXPORT const char* standin_last_error() {
    static thread_local std::string text;
    auto& last = immortal<LastError>();
    std::lock_guard<std::mutex> lock(last.mutex);
    return (text = last.text).c_str();
}

/* Forget counts, faults and errors; contexts that a kernel spoilt can be used again. */
EXPORT int standin_reset() {
    return serve("standin_reset", [] {
        heal_contexts();
        functions().clear();
        record({CUDA_SUCCESS, ""});
    }, Call::ANY);
}
