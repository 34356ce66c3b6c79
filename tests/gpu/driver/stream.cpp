#include "stream.h"

#include "capture.h"
#include "context.h"

#include <algorithm>
#include <random>
#include <thread>

namespace standin {

namespace {

std::vector<std::weak_ptr<Stream>>& all_streams() {
    static auto& all = *new std::vector<std::weak_ptr<Stream>>;
    return all;
}

template <class T> void forget_expired(std::vector<std::weak_ptr<T>>& known) {
    known.erase(std::remove_if(known.begin(), known.end(), [](auto& one) { return one.expired(); }), known.end());
}

/* The legacy default stream and the context's other streams wait for each other, unless these asked not to. */
std::vector<Point> ties(Stream& stream) {
    std::vector<Point> after;
    if (stream.flags & CU_STREAM_NON_BLOCKING) return after;
    for (auto& known : stream.context->streams) {
        auto other = known.lock();
        if (!other || other.get() == &stream || other->flags & CU_STREAM_NON_BLOCKING) continue;
        if (!((stream.flags | other->flags) & Stream::LEGACY)) continue;
        if (other->capture) {
            other->capture->invalidate();
            fail(CUDA_ERROR_STREAM_CAPTURE_IMPLICIT, "the legacy stream is used while a blocking stream is captured");
        }
        after.push_back(other->end());
    }
    return after;
}

}  // namespace

bool Point::reached() const {
    if (!stream) return true;
    std::lock_guard<std::mutex> lock(stream->mutex_);
    return stream->finished_ >= number;
}

void Point::wait() const {
    if (!stream) return;
    std::unique_lock<std::mutex> lock(stream->mutex_);
    stream->changed_.wait(lock, [&] { return ended || stream->finished_ >= number; });
}

Stream::Stream(std::shared_ptr<Context> context, unsigned flags) : context(std::move(context)), flags(flags) {}

std::shared_ptr<Stream> Stream::start(const std::shared_ptr<Context>& context, unsigned flags) {
    static uint64_t count = 0;
    std::shared_ptr<Stream> stream(new Stream(context, flags));
    forget_expired(context->streams);
    forget_expired(all_streams());
    context->streams.push_back(stream);
    all_streams().push_back(stream);
    // The thread owns the stream: after close it runs what is left.
    std::thread([stream, number = ++count] { stream->run(number); }).detach();
    return stream;
}

Point Stream::push(Operation operation, std::vector<Point> after) {
    std::lock_guard<std::mutex> lock(mutex_);
    items_.push_back({std::move(operation), std::move(after)});
    changed_.notify_all();
    return {shared_from_this(), ++issued_};
}

Point Stream::end() {
    std::lock_guard<std::mutex> lock(mutex_);
    return {shared_from_this(), issued_};
}

void Stream::close() {
    std::lock_guard<std::mutex> lock(mutex_);
    closed_ = true;
    changed_.notify_all();
}

void Stream::run(uint64_t number) {
    std::minstd_rand random(setting("STANDIN_SEED", 0) * 1000003 + number);
    std::uniform_int_distribution<long> delay(0, setting("STANDIN_DELAY_US", 0));
    std::unique_lock<std::mutex> lock(mutex_);
    for (;;) {
        changed_.wait(lock, [&] { return ended || closed_ || !items_.empty(); });
        if (ended || items_.empty()) return;
        Item item = std::move(items_.front());
        items_.pop_front();
        busy_ = true;
        lock.unlock();
        if (delay.max() && context->works()) std::this_thread::sleep_for(std::chrono::microseconds(delay(random)));
        execute(item);
        item = {};          // what it holds is let go before others learn that it is done
        lock.lock();
        busy_ = false;
        finished_++;
        changed_.notify_all();
    }
}

void Stream::execute(const Item& item) {
    for (auto& point : item.after) point.wait();
    if (ended || !context->works() || !item.operation) return;
    try {
        item.operation();
    } catch (const Failure& failure) {
        context->spoil(failure);
    }
}

void Stream::halt_all() {
    std::lock_guard<std::mutex> no_call(Call::mutex);
    for (auto& known : all_streams())
        if (auto stream = known.lock()) {
            std::lock_guard<std::mutex> lock(stream->mutex_);
            stream->changed_.notify_all();
        }
    // What runs now may use what the end of the process takes away. A kernel that does not end must not keep it up.
    auto latest = std::chrono::steady_clock::now() + std::chrono::seconds(2);
    for (auto& known : all_streams())
        if (auto stream = known.lock()) {
            std::unique_lock<std::mutex> lock(stream->mutex_);
            stream->changed_.wait_until(lock, latest, [&] { return !stream->busy_; });
        }
}

Registry<CUstream, Stream>& streams() {
    static auto& registry = *new Registry<CUstream, Stream>;
    return registry;
}

std::shared_ptr<Stream> stream_of(CUstream handle) {
    auto context = current();
    if (!handle || handle == CU_STREAM_LEGACY) return context->legacy();
    if (handle == CU_STREAM_PER_THREAD) fail(CUDA_ERROR_NOT_SUPPORTED, "the stand-in has no per-thread stream");
    auto stream = streams().get(handle);
    stream->context->check();
    return stream;
}

Point issue(const std::shared_ptr<Stream>& stream, Operation operation, std::vector<Point> after) {
    if (stream->capture) {
        stream->capture->add(*stream, std::move(operation));
        return {};
    }
    for (auto& point : ties(*stream)) after.push_back(point);
    return stream->push(std::move(operation), std::move(after));
}

}  // namespace standin

using namespace standin;

API cuStreamCreate(CUstream* handle, unsigned flags) {
    return serve(__func__, [&] {
        if (flags & ~unsigned(CU_STREAM_NON_BLOCKING)) fail(CUDA_ERROR_INVALID_VALUE, "flags %#x of a stream", flags);
        required(handle, "stream") = streams().add(Stream::start(current(), flags));
    });
}

API cuStreamCreateWithPriority(CUstream* handle, unsigned flags, int) { return cuStreamCreate(handle, flags); }

API cuStreamDestroy(CUstream handle) {
    return serve(__func__, [&] {
        auto stream = streams().take(handle);
        if (stream->capture) stream->capture->invalidate();
        stream->close();
    });
}

API cuStreamSynchronize(CUstream handle) {
    return serve(__func__, [&] {
        auto stream = stream_of(handle);
        Capture::forbid(*stream, "cuStreamSynchronize");
        Capture::forbid_unsafe("cuStreamSynchronize");
        synchronize(stream->context, {stream->end()});
    });
}

API cuStreamQuery(CUstream handle) {
    return serve(__func__, [&] {
        auto stream = stream_of(handle);
        Capture::forbid(*stream, "cuStreamQuery");
        Capture::forbid_unsafe("cuStreamQuery");
        if (!stream->end().reached()) fail(CUDA_ERROR_NOT_READY, "work is left");
        stream->context->check();
    });
}

API cuLaunchHostFunc(CUstream handle, CUhostFn function, void* data) {
    return serve(__func__, [&] {
        issue(stream_of(handle), [=] {
            in_host_function = true;
            function(data);
            in_host_function = false;
        });
    });
}
