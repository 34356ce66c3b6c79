/* Runs the blocks of a grid one after another, and the threads of a block by turns, each on a fiber.

   A thread runs until it ends or waits. Those that may go on stand in a queue; while it is empty, threads that have not
   begun do, on a fiber whose thread has ended if there is one. So a kernel in which no thread waits needs one fiber. */
#pragma once
#include <array>
#include <memory>
#include <string>
#include <vector>
#include "fiber.h"
#include "order.h"
#include "runtime.h"

namespace cuda_emulator {

constexpr unsigned MOST_THREADS = 1024, WARP = 32;

/* One thread of the block that runs. */
struct Thread {
    uint3 index;
    unsigned number, lane;
    Fiber* fiber;
    Place place;                                            /* of its last wait, and at a warp's operation also: */
    WarpOperation operation;
    unsigned mask, source;
    uint64_t value, result;
};

struct Warp {
    unsigned ended, waiting;                                /* lanes, by bit; waiting for the warp, not the block */
    std::vector<Thread*> threads;                           /* in the order in which they run */
};

/* Threads that may go on: first come, first served. */
class Queue {
public:
    bool empty() const { return first == last; }
    void clear() { first = last = 0; }
    void push(Thread* thread) { threads[last++ % MOST_THREADS] = thread; }
    Thread& pop() { return *threads[first++ % MOST_THREADS]; }

private:
    std::array<Thread*, MOST_THREADS> threads;
    unsigned first = 0, last = 0;
};

std::string text_of(const char* name, uint3 v);
std::string text_of(Place place);

class Scheduler {
public:
    int run(const Launch& launch, char* text, size_t room);
    unsigned barrier(bool predicate, Place place);
    uint64_t warp(WarpOperation operation, unsigned mask, uint64_t value, unsigned source, Place place);

    /* The launch will fail, for the first reason that it got; its threads go on. */
    void note(const std::string& reason);
    [[noreturn]] void fail(const std::string& reason);

private:
    void arrange();
    void abandon();
    bool begin_block();
    void begin_thread();
    void end_thread();
    [[noreturn]] static void fiber_main();
    void wait();
    void go_on(Thread& thread);
    void leave(Fiber& next);
    Fiber& idle_fiber();
    void release(Warp& warp, unsigned mask, WarpOperation operation);
    std::string deadlock() const;

    const Launch* launch = nullptr;                         /* NULL: nothing runs */
    std::string error;

    dim3 block{0, 0, 0};                                    /* what threads and warps were made for */
    Order order = Order::FORWARD;
    std::vector<Thread> threads;
    std::vector<Thread*> sequence;                          /* in the order in which they run */
    std::vector<Warp> warps;

    uint64_t blocks = 0;                                    /* begun */
    unsigned begun = 0, ended = 0;                          /* threads of this block */
    Thread* current = nullptr;
    Queue ready;
    unsigned at_barrier = 0, predicates = 0, result = 0;
    Place barrier_place{};

    Fiber caller;
    Fiber* running = &caller;
    std::vector<std::unique_ptr<Fiber>> fibers;
    std::vector<Fiber*> idle;
};

extern __thread Scheduler* scheduler;                       /* of this thread of the system, once it has run a kernel */

}
