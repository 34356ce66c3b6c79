/* Fibers: stacks of their own within a thread of the system, between which it changes by hand. */
#pragma once
#include <cstddef>
#include <cstdint>
#if !defined __x86_64__ && !defined CUDA_EMULATOR_UCONTEXT
#define CUDA_EMULATOR_UCONTEXT          /* the C library's way, slower: it calls the system at each change */
#endif
#ifdef CUDA_EMULATOR_UCONTEXT
#include <ucontext.h>
#endif
#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/common_interface_defs.h>
#endif

namespace cuda_emulator {

#ifndef CUDA_EMULATOR_UCONTEXT
/* Keeps the registers that a called function must keep, and goes on where the other stack pointer was kept. */
extern "C" void cuda_emulator_switch(void** from, void* to) __attribute__((visibility("hidden")));
#endif

class Fiber {
public:
    Fiber();                            /* the stack that the thread of the system runs on already */
    explicit Fiber(void (*main)());     /* a stack that will run main, which must not return */
    Fiber(const Fiber&) = delete;
    ~Fiber();

    /* Forgets what ran: the next switch to it begins main. */
    void reset();

    /* Leaves this fiber, which runs now, and goes on with the other one. */
    void switch_to(Fiber& other) {
#ifdef __SANITIZE_ADDRESS__
        __sanitizer_start_switch_fiber(&fake_stack, other.stack, other.size);
#endif
#ifndef CUDA_EMULATOR_UCONTEXT
        cuda_emulator_switch(&pointer, other.pointer);
#else
        swapcontext(&context, &other.context);
#endif
        arrive();
    }

    /* Main calls it at its start. */
    void arrive() {
#ifdef __SANITIZE_ADDRESS__
        __sanitizer_finish_switch_fiber(fake_stack, nullptr, nullptr);
#endif
    }

private:
#ifdef __SANITIZE_ADDRESS__
    void* fake_stack = nullptr;
#endif
    void (*main)() = nullptr;
    unsigned char* stack = nullptr;
    size_t size = 0;
    bool owned = false;
#ifndef CUDA_EMULATOR_UCONTEXT
    void* pointer = nullptr;
#else
    ucontext_t context;
#endif
};

}
