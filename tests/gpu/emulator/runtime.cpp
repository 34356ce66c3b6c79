#include <link.h>
#include "scheduler.h"

namespace cuda_emulator {

__thread Builtins builtins{};
__thread Scheduler* scheduler;

unsigned barrier(bool predicate, Place place) { return scheduler->barrier(predicate, place); }

uint64_t warp(WarpOperation operation, unsigned mask, uint64_t value, unsigned source, Place place) {
    return scheduler->warp(operation, mask, value, source, place);
}

void fail(const char* message) { scheduler->fail(text_of("thread", builtins.thread) + ": " + message); }

int run(const Launch& launch, char* text, size_t room) {
    static thread_local const std::unique_ptr<Scheduler> own(scheduler = new Scheduler);
    return own->run(launch, text, room);
}

StaticShared static_shared_of(const void* code) {
    struct Search { uintptr_t code; StaticShared found; } search = {reinterpret_cast<uintptr_t>(code), {0, 0}};
    dl_iterate_phdr([](dl_phdr_info* info, size_t, void* data) {
        Search* search = static_cast<Search*>(data);
        bool inside = false;
        size_t size = 0;
        for (int i = 0; i < info->dlpi_phnum; i++) {
            const auto& part = info->dlpi_phdr[i];
            inside |= part.p_type == PT_LOAD && search->code - (info->dlpi_addr + part.p_vaddr) < part.p_memsz;
            if (part.p_type == PT_TLS) size = part.p_memsz;
        }
        if (inside) search->found = {info->dlpi_tls_modid, size};
        return int(inside);
    }, &search);
    return search.found;
}

}

/* The undefined-behaviour sanitizer, if kernels are compiled with it, calls __ubsan_on_report after its own message. */
extern "C" void __ubsan_get_current_report_data(const char** kind, const char** message, const char** file,
                                                unsigned* line, unsigned* column, char** address) __attribute__((weak));

extern "C" __attribute__((visibility("default"))) void __ubsan_on_report() {
    using namespace cuda_emulator;
    if (!scheduler) return;                                 /* the host's own */
    const char *kind, *message, *file;
    unsigned line, column;
    char* address;
    __ubsan_get_current_report_data(&kind, &message, &file, &line, &column, &address);
    scheduler->note(text_of("thread", builtins.thread) + ": undefined behaviour, " + message +
                    text_of(Place{file, int(line)}));
}
