/* Events. */
#include "capture.h"
#include "context.h"

using namespace standin;

namespace {

Registry<CUevent, Event>& events() {
    static auto& registry = *new Registry<CUevent, Event>;
    return registry;
}

/* The host cannot wait for what was only recorded into a graph. */
void forbid_captured(const Event& event, const char* doing) {
    if (!event.capture) return Capture::forbid_unsafe(doing);
    event.capture->invalidate();
    fail(CUDA_ERROR_CAPTURED_EVENT, "%s with an event that was recorded in a captured stream", doing);
}

}  // namespace

API cuEventCreate(CUevent* handle, unsigned flags) {
    return serve(__func__, [&] {
        auto event = std::make_shared<Event>();
        event->context = current();
        event->flags = flags;
        required(handle, "event") = events().add(event);
    });
}

API cuEventDestroy(CUevent handle) {
    return serve(__func__, [&] { events().take(handle); });
}

API cuEventRecord(CUevent handle, CUstream stream_handle) {
    return serve(__func__, [&] {
        auto stream = stream_of(stream_handle);
        auto event = events().get(handle);
        if (event->context != stream->context)
            fail(CUDA_ERROR_INVALID_HANDLE, "an event of device %d is recorded in a stream of device %d",
                 event->context->device, stream->context->device);
        event->capture = stream->capture;
        if (event->capture) {
            event->nodes = event->capture->frontier(*stream);
            return;
        }
        auto time = event->time = std::make_shared<std::chrono::steady_clock::time_point>();
        event->point = issue(stream, [time] { *time = std::chrono::steady_clock::now(); });
    });
}

API cuStreamWaitEvent(CUstream stream_handle, CUevent handle, unsigned) {
    return serve(__func__, [&] {
        auto stream = stream_of(stream_handle);
        auto event = events().get(handle);
        if (event->capture) {
            Capture::join(event->capture, stream, event->nodes);
        } else if (!event->point.stream) {
            return;                                     // never recorded: nothing to wait for
        } else if (stream->capture) {
            stream->capture->invalidate();
            fail(CUDA_ERROR_STREAM_CAPTURE_ISOLATION,
                 "a captured stream waits for an event that was recorded outside of the capture");
        } else {
            issue(stream, nullptr, {event->point});
        }
    });
}

API cuEventSynchronize(CUevent handle) {
    return serve(__func__, [&] {
        auto event = events().get(handle);
        forbid_captured(*event, "cuEventSynchronize");
        synchronize(event->context, {event->point});
    });
}

API cuEventQuery(CUevent handle) {
    return serve(__func__, [&] {
        auto event = events().get(handle);
        forbid_captured(*event, "cuEventQuery");
        event->context->check();
        if (!event->point.reached()) fail(CUDA_ERROR_NOT_READY, "the event has not happened");
    });
}

API cuEventElapsedTime(float* milliseconds, CUevent from_handle, CUevent to_handle) {
    return serve(__func__, [&] {
        auto from = events().get(from_handle), to = events().get(to_handle);
        if (!from->time || !to->time || (from->flags | to->flags) & CU_EVENT_DISABLE_TIMING)
            fail(CUDA_ERROR_INVALID_HANDLE, "an event that was not recorded or has no time");
        if (from->context != to->context) fail(CUDA_ERROR_INVALID_HANDLE, "the events are of different devices");
        if (!from->point.reached() || !to->point.reached()) fail(CUDA_ERROR_NOT_READY, "an event has not happened");
        from->context->check();
        *milliseconds = std::chrono::duration<float, std::milli>(*to->time - *from->time).count();
    });
}
