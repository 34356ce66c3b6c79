/* Capture of streams into graphs. */
#pragma once

#include "stream.h"

#include <map>
#include <random>
#include <set>
#include <thread>

namespace standin {

/* Operations, each with those that must come before it: these have lower numbers. */
struct Graph {
    static constexpr const char* what = "graph";
    static constexpr int kind = 4;

    struct Node {
        Operation operation;
        std::vector<size_t> after;
    };

    std::vector<Node> nodes;

    /* Run all, in any order that the edges allow: one that relies on more than the edges gives wrong numbers. */
    void run(std::minstd_rand& random) const;

    /* Whether all nodes come before these or are among them. */
    bool ends_with(const std::vector<size_t>& last) const;
};

/* What streams are given between cuStreamBeginCapture and cuStreamEndCapture. */
class Capture {
  public:
    static std::shared_ptr<Capture> begin(const std::shared_ptr<Stream>& stream, CUstreamCaptureMode mode);
    static std::shared_ptr<Graph> end(const std::shared_ptr<Stream>& stream);

    /* Let a stream wait for an event of a capture: it belongs to that capture from now on. */
    static void join(const std::shared_ptr<Capture>& capture, const std::shared_ptr<Stream>& stream,
                     const std::vector<size_t>& nodes);

    /* Nothing of that kind may be done to a captured stream: the capture is spoilt by it. */
    static void forbid(Stream& stream, const char* doing);

    /* ... nor at all while this thread captures, or any thread in the mode "global". */
    static void forbid_unsafe(const char* doing);

    const uint64_t number;
    bool valid() const { return valid_; }
    void invalidate() { valid_ = false; }
    void add(Stream& stream, Operation operation);
    const std::vector<size_t>& frontier(Stream& stream);    // what the next operation of the stream comes after

  private:
    Capture(uint64_t number, CUstreamCaptureMode mode) : number(number), mode_(mode) {}
    void check() const;

    const CUstreamCaptureMode mode_;
    const std::thread::id thread_ = std::this_thread::get_id();
    bool valid_ = true, open_ = true;
    std::shared_ptr<Stream> origin_;
    std::map<std::shared_ptr<Stream>, std::vector<size_t>> frontiers_;
    std::shared_ptr<Graph> graph_ = std::make_shared<Graph>();
};

}  // namespace standin
