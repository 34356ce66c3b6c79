#include "capture.h"

#include "context.h"

#include <algorithm>

namespace standin {

namespace {

thread_local CUstreamCaptureMode thread_mode = CU_STREAM_CAPTURE_MODE_GLOBAL;

std::vector<std::shared_ptr<Capture>>& open_captures() {
    static auto& all = *new std::vector<std::shared_ptr<Capture>>;
    return all;
}

}  // namespace

void Graph::run(std::minstd_rand& random) const {
    std::vector<size_t> missing(nodes.size()), ready;
    std::vector<std::vector<size_t>> next(nodes.size());
    for (size_t i = 0; i < nodes.size(); i++) {
        missing[i] = nodes[i].after.size();
        for (size_t before : nodes[i].after) next[before].push_back(i);
        if (!missing[i]) ready.push_back(i);
    }
    while (!ready.empty()) {
        std::swap(ready[random() % ready.size()], ready.back());
        size_t node = ready.back();
        ready.pop_back();
        nodes[node].operation();
        for (size_t i : next[node])
            if (!--missing[i]) ready.push_back(i);
    }
}

bool Graph::ends_with(const std::vector<size_t>& last) const {
    std::vector<bool> reached(nodes.size());
    for (size_t node : last) reached[node] = true;
    for (size_t node = nodes.size(); node-- > 0;)
        for (size_t before : nodes[node].after)
            if (reached[node]) reached[before] = true;
    return std::find(reached.begin(), reached.end(), false) == reached.end();
}

std::shared_ptr<Capture> Capture::begin(const std::shared_ptr<Stream>& stream, CUstreamCaptureMode mode) {
    static uint64_t count = 0;
    if (stream->flags & Stream::LEGACY)
        fail(CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED, "the legacy stream cannot be captured");
    if (stream->capture) fail(CUDA_ERROR_ILLEGAL_STATE, "the stream is captured already");
    std::shared_ptr<Capture> capture(new Capture(++count, mode));
    capture->origin_ = stream;
    capture->frontiers_[stream] = {};
    stream->capture = capture;
    open_captures().push_back(capture);
    return capture;
}

std::shared_ptr<Graph> Capture::end(const std::shared_ptr<Stream>& stream) {
    auto capture = stream->capture;
    if (!capture) fail(CUDA_ERROR_ILLEGAL_STATE, "the stream is not captured");
    if (capture->origin_ != stream)
        fail(CUDA_ERROR_STREAM_CAPTURE_UNMATCHED, "the capture began in another stream");
    if (capture->mode_ != CU_STREAM_CAPTURE_MODE_RELAXED && capture->thread_ != std::this_thread::get_id())
        fail(CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD, "the capture began in another thread");
    bool joined = capture->graph_->ends_with(capture->frontiers_[stream]);
    for (auto& [member, frontier] : capture->frontiers_) member->capture = nullptr;
    capture->frontiers_.clear();
    capture->origin_ = nullptr;
    capture->open_ = false;
    auto& open = open_captures();
    open.erase(std::find(open.begin(), open.end(), capture));
    capture->check();
    if (!joined) fail(CUDA_ERROR_STREAM_CAPTURE_UNJOINED, "the captured stream does not wait for others that joined");
    return capture->graph_;
}

void Capture::join(const std::shared_ptr<Capture>& capture, const std::shared_ptr<Stream>& stream,
                   const std::vector<size_t>& nodes) {
    if (!capture->open_) fail(CUDA_ERROR_CAPTURED_EVENT, "the event was recorded in a capture that has ended");
    if (stream->capture && stream->capture != capture) {
        stream->capture->invalidate();
        capture->invalidate();
        fail(CUDA_ERROR_STREAM_CAPTURE_MERGE, "a captured stream waits for an event of another capture");
    }
    if (stream->flags & Stream::LEGACY) {
        capture->invalidate();
        fail(CUDA_ERROR_STREAM_CAPTURE_IMPLICIT, "the legacy stream waits for an event of a captured stream");
    }
    capture->check();
    stream->capture = capture;
    auto& frontier = capture->frontiers_[stream];
    for (size_t node : nodes)
        if (std::find(frontier.begin(), frontier.end(), node) == frontier.end()) frontier.push_back(node);
}

void Capture::forbid(Stream& stream, const char* doing) {
    if (!stream.capture) return;
    stream.capture->invalidate();
    fail(CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED, "%s in a stream that is captured", doing);
}

void Capture::forbid_unsafe(const char* doing) {
    if (thread_mode == CU_STREAM_CAPTURE_MODE_RELAXED) return;
    bool spoilt = false;
    for (auto& capture : open_captures()) {
        bool ours = capture->thread_ == std::this_thread::get_id();
        bool guarded = ours ? capture->mode_ != CU_STREAM_CAPTURE_MODE_RELAXED
                            : capture->mode_ == CU_STREAM_CAPTURE_MODE_GLOBAL &&
                                  thread_mode == CU_STREAM_CAPTURE_MODE_GLOBAL;
        if (guarded) {
            capture->invalidate();
            spoilt = true;
        }
    }
    if (spoilt) fail(CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED, "%s during a capture", doing);
}

void Capture::check() const {
    if (!valid_) fail(CUDA_ERROR_STREAM_CAPTURE_INVALIDATED, "something during the capture was not allowed");
}

void Capture::add(Stream& stream, Operation operation) {
    check();
    auto& frontier = frontiers_[stream.shared_from_this()];
    graph_->nodes.push_back({std::move(operation), std::move(frontier)});
    frontier = {graph_->nodes.size() - 1};
}

const std::vector<size_t>& Capture::frontier(Stream& stream) {
    check();
    return frontiers_[stream.shared_from_this()];
}

}  // namespace standin

using namespace standin;

API cuStreamBeginCapture(CUstream handle, CUstreamCaptureMode mode) {
    return serve(__func__, [&] { Capture::begin(stream_of(handle), mode); });
}

API cuThreadExchangeStreamCaptureMode(CUstreamCaptureMode* mode) {
    return serve(__func__, [&] { std::swap(required(mode, "mode"), thread_mode); });
}

namespace {

void describe(CUstream handle, CUstreamCaptureStatus* status, cuuint64_t* number) {
    auto capture = stream_of(handle)->capture;
    required(status, "status") = !capture             ? CU_STREAM_CAPTURE_STATUS_NONE
                                 : capture->valid() ? CU_STREAM_CAPTURE_STATUS_ACTIVE
                                                    : CU_STREAM_CAPTURE_STATUS_INVALIDATED;
    if (capture && number) *number = capture->number;
}

/* The stand-in tells whether and in which capture a stream is, not what was captured so far. */
template <class... Out> void check_null(Out... out) {
    if ((out || ...)) fail(CUDA_ERROR_NOT_SUPPORTED, "the stand-in does not show the graph of a capture");
}

}  // namespace

API cuStreamIsCapturing(CUstream handle, CUstreamCaptureStatus* status) {
    return serve(__func__, [&] { describe(handle, status, nullptr); });
}

API cuStreamGetCaptureInfo(CUstream handle, CUstreamCaptureStatus* status, cuuint64_t* number, CUgraph* graph,
                           const CUgraphNode** nodes, const CUgraphEdgeData** edges, size_t* count) {
    return serve(__func__, [&] {
        check_null(graph, nodes, edges, count);
        describe(handle, status, number);
    });
}

/* CUDA 12's, which has no data of edges. */
API cuStreamGetCaptureInfo_v2(CUstream handle, CUstreamCaptureStatus* status, cuuint64_t* number, CUgraph* graph,
                              const CUgraphNode** nodes, size_t* count) {
    return serve(__func__, [&] {
        check_null(graph, nodes, count);
        describe(handle, status, number);
    });
}
