/* Devices and their contexts. */
#pragma once

#include "stream.h"

#include <set>
#include <vector>

namespace standin {

constexpr int MAX_DEVICES = 16;
constexpr unsigned MAX_THREADS = 1024;              // of a block
constexpr unsigned DEFAULT_SHARED = 48 << 10;       // bytes of shared memory that each kernel may have ...
constexpr unsigned MAX_SHARED = 227 << 10;          // ... and what it may ask for

int device_count();

class Context : public std::enable_shared_from_this<Context> {
  public:
    static constexpr const char* what = "context";
    static constexpr int kind = 1;

    explicit Context(int device) : device(device) {}

    const int device;
    int users = 0;                                  // of a primary context
    CUcontext handle = nullptr;
    std::set<int> peers;                            // devices whose memory kernels of this context may use
    std::vector<std::weak_ptr<Stream>> streams;

    /* After some errors the device's state is unknown: they stay, and every call in the context gives them again. */
    static bool is_fatal(CUresult code);
    void spoil(const Failure& failure);             // from any thread; the first failure is kept
    bool works() const { return !spoilt_ && !destroyed_; }
    void check() const;                             // throws what spoilt it
    void heal() { spoilt_ = false; }

    std::shared_ptr<Stream> legacy();               // its default stream
    std::vector<Point> ends() const;                // of what its streams were given
    void synchronize();
    void destroy();                                 // with its streams, what they have not done, and memory
    void revive() { destroyed_ = false; }

  private:
    std::shared_ptr<Stream> legacy_;
    std::atomic<bool> destroyed_{false}, spoilt_{false};
    mutable std::mutex mutex_;                      // guards failure_
    Failure failure_;
};

Registry<CUcontext, Context>& contexts();
std::shared_ptr<Context> top_context();             // the calling thread's, or nothing
std::shared_ptr<Context> current();                 // the same; throws if there is none, or if it is spoilt
void heal_contexts();

/* Wait for these, then tell what went wrong in the context. */
void synchronize(const std::shared_ptr<Context>& context, const std::vector<Point>& points);

}  // namespace standin
