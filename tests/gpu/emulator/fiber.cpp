#include "fiber.h"
#include <cstdlib>
#include <pthread.h>
#include <sys/mman.h>
#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#endif

#ifndef CUDA_EMULATOR_UCONTEXT
asm(R"(
    .text
    .globl cuda_emulator_switch
    .hidden cuda_emulator_switch
    .type cuda_emulator_switch, @function
cuda_emulator_switch:
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    ret
    .size cuda_emulator_switch, . - cuda_emulator_switch
)");
#endif

namespace cuda_emulator {

namespace {
#ifdef __SANITIZE_ADDRESS__
constexpr size_t STACK = 256 << 10;
#else
constexpr size_t STACK = 64 << 10;
#endif
constexpr size_t GUARD = 4096;          /* at the lower end: a fault instead of other data overwritten */
}

Fiber::Fiber() {
#ifdef __SANITIZE_ADDRESS__
    pthread_attr_t attributes;
    void* start;
    pthread_getattr_np(pthread_self(), &attributes);
    pthread_attr_getstack(&attributes, &start, &size);
    pthread_attr_destroy(&attributes);
    stack = static_cast<unsigned char*>(start);
#endif
}

Fiber::Fiber(void (*main)()) : main(main), size(STACK), owned(true) {
    void* pages = mmap(nullptr, GUARD + STACK, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
    if (pages == MAP_FAILED || mprotect(pages, GUARD, PROT_NONE)) abort();
    stack = static_cast<unsigned char*>(pages) + GUARD;
    reset();
}

Fiber::~Fiber() {
    if (owned) munmap(stack - GUARD, GUARD + STACK);
}

void Fiber::reset() {
#ifdef __SANITIZE_ADDRESS__
    __asan_unpoison_memory_region(stack, size);
    fake_stack = nullptr;
#endif
#ifndef CUDA_EMULATOR_UCONTEXT
    void** top = reinterpret_cast<void**>(stack + size);
    *--top = nullptr;                   /* main's own return address, and its alignment */
    *--top = reinterpret_cast<void*>(main);
    for (int i = 0; i < 6; i++) *--top = nullptr;
    pointer = top;
#else
    getcontext(&context);
    context.uc_stack.ss_sp = stack;
    context.uc_stack.ss_size = size;
    context.uc_link = nullptr;
    makecontext(&context, main, 0);
#endif
}

}
