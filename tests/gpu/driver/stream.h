/* Streams: threads that run what they were given, one after the other and not at once; and events. */
#pragma once

#include "calls.h"

#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <vector>

namespace standin {

class Capture;
class Context;
class Stream;

using Operation = std::function<void()>;

/* The end of a stream's number-th operation. All order between streams is made of these. */
struct Point {
    std::shared_ptr<Stream> stream;
    uint64_t number = 0;

    bool reached() const;
    void wait() const;
};

class Stream : public std::enable_shared_from_this<Stream> {
  public:
    static constexpr const char* what = "stream";
    static constexpr int kind = 2;
    static constexpr unsigned LEGACY = 1u << 31;        // in flags: the default stream of the context

    static std::shared_ptr<Stream> start(const std::shared_ptr<Context>& context, unsigned flags);
    static void halt_all();                             // at the end of the process

    const std::shared_ptr<Context> context;
    const unsigned flags;
    std::shared_ptr<Capture> capture;                   // that records what it is given, if one does

    /* Run it after all before, and after these points. */
    Point push(Operation operation, std::vector<Point> after);
    Point end();                                        // of what it was given so far
    void close();                                       // nothing more will come

  private:
    friend struct Point;

    struct Item {
        Operation operation;
        std::vector<Point> after;
    };

    Stream(std::shared_ptr<Context> context, unsigned flags);
    void run(uint64_t number);
    void execute(const Item& item);

    std::mutex mutex_;                                  // guards all below
    std::condition_variable changed_;
    std::deque<Item> items_;
    uint64_t issued_ = 0, finished_ = 0;
    bool busy_ = false, closed_ = false;
};

struct Event {
    static constexpr const char* what = "event";
    static constexpr int kind = 3;

    std::shared_ptr<Context> context;
    unsigned flags;
    Point point;                                                // where it was recorded last
    std::shared_ptr<std::chrono::steady_clock::time_point> time;
    std::shared_ptr<Capture> capture;                           // ... or the capture in which it was,
    std::vector<size_t> nodes;                                  // behind these nodes
};

Registry<CUstream, Stream>& streams();

/* What a handle given together with the current context stands for: NULL is the legacy default stream. */
std::shared_ptr<Stream> stream_of(CUstream handle);

/* Give an operation to a stream, or to the capture that records it. */
Point issue(const std::shared_ptr<Stream>& stream, Operation operation, std::vector<Point> after = {});

void halt_at_exit();

}  // namespace standin
