/* Modules, which are shared objects that hold emulated kernels, and launches. */
#include "capture.h"
#include "context.h"
#include "memory.h"

#include <dlfcn.h>
#include <elf.h>
#include <link.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <cstdlib>
#include <cstring>
#include <map>

using namespace standin;

namespace {

/* What the emulator makes of a kernel: 0, or another number with what went wrong in text. */
using Launch = int (*)(const void* parameters, const unsigned* grid, const unsigned* block, unsigned shared,
                       char* text, size_t room);

struct Module {
    static constexpr const char* what = "module";
    static constexpr int kind = 6;

    std::shared_ptr<Context> context;
    void* library = nullptr;
    std::map<std::string, CUfunction> kernels;
    std::map<std::string, Allocation> variables;

    ~Module() {
        if (library) dlclose(library);
    }
};

struct Kernel {
    static constexpr const char* what = "function";
    static constexpr int kind = 7;

    std::shared_ptr<Module> module;
    std::string name;
    Launch launch;
    const size_t* parameter_bytes;                  // NULL: not known
    unsigned dynamic_shared = DEFAULT_SHARED;       // bytes that a launch may ask for
};

Registry<CUmodule, Module>& modules() {
    static auto& registry = *new Registry<CUmodule, Module>;
    return registry;
}

Registry<CUfunction, Kernel>& kernels() {
    static auto& registry = *new Registry<CUfunction, Kernel>;
    return registry;
}

/* The bytes of an ELF file. */
size_t length_of(const void* image) {
    auto header = static_cast<const Elf64_Ehdr*>(image);
    if (memcmp(header->e_ident, ELFMAG, SELFMAG)) fail(CUDA_ERROR_INVALID_IMAGE, "the module is no shared object");
    if (header->e_machine != EM_X86_64 && header->e_machine != EM_AARCH64)
        fail(CUDA_ERROR_NO_BINARY_FOR_GPU, "the module is for machine %d: compile it with the stand-in of NVRTC",
             header->e_machine);
    return header->e_shoff + size_t(header->e_shnum) * header->e_shentsize;
}

/* Through a file, whose name must be new: the loader takes a known name for the same library. */
void* load(const void* image) {
    size_t nbytes = length_of(image);
    const char* folder = getenv("TMPDIR");
    std::string path = std::string(folder && *folder ? folder : "/tmp") + "/standin-module-XXXXXX";
    int file = mkstemp(path.data());
    if (file < 0) fail(CUDA_ERROR_OPERATING_SYSTEM, "%s: %s", path.c_str(), strerror(errno));
    bool written = write(file, image, nbytes) == ssize_t(nbytes);
    close(file);
    void* library = written ? dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL) : nullptr;
    std::string problem = written ? (library ? "" : dlerror()) : "it cannot be written to " + path;
    unlink(path.c_str());
    if (!library) fail(CUDA_ERROR_INVALID_IMAGE, "the module cannot be loaded: %s", problem.c_str());
    halt_at_exit();         // streams must halt before the module's destructors run, which is in the reverse order
    return library;
}

CUmodule load_module(const void* image) {
    auto module = std::make_shared<Module>();
    module->context = current();
    Capture::forbid_unsafe("loading a module");
    module->library = load(&required(static_cast<const char*>(image), "image"));
    return modules().add(module);
}

/* Whether the process has memory there. Numbers, even pairs of them, are hardly ever such addresses. */
bool is_mapped(uintptr_t address) {
    constexpr uintptr_t PAGE = 4096;
    unsigned char resident;
    return address >> 32 && !mincore(reinterpret_cast<void*>(address / PAGE * PAGE), 1, &resident);
}

/* A kernel with all that it needs when its turn comes. */
struct Work {
    std::shared_ptr<Kernel> kernel;
    std::vector<char> parameters;
    std::array<unsigned, 3> grid, block;
    unsigned shared;
    std::vector<Use> uses;
    std::string mistake;        // in its parameters: what a device would notice when it gets there

    /* Every pointer among the parameters must be to memory that the device can access. */
    void look_for_pointers(const Context& context) {
        for (size_t at = 0; at + 8 <= parameters.size() && mistake.empty(); at += 8) {
            uintptr_t word;
            memcpy(&word, parameters.data() + at, sizeof(word));
            auto allocation = memory().find(word);
            if (allocation)
                uses.push_back({word, allocation->number});
            else if (memory().device_at(word) >= 0)
                mistake = "memory that is not allocated";
            else if (is_mapped(word))
                mistake = "memory of the host that is not page-locked";
            if (allocation && allocation->type == CU_MEMORYTYPE_DEVICE && allocation->device != context.device &&
                !context.peers.count(allocation->device))
                mistake = "memory of device " + std::to_string(allocation->device);
            if (!mistake.empty())
                mistake = kernel->name + " on device " + std::to_string(context.device) + " was given " + mistake +
                          ", in byte " + std::to_string(at) + " of its parameters";
        }
    }

    void operator()() const {
        if (!mistake.empty()) throw Failure{CUDA_ERROR_ILLEGAL_ADDRESS, mistake};
        for (auto& use : uses) memory().check_alive(use, kernel->name.c_str());
        char text[2048] = "";
        if (kernel->launch(parameters.data(), grid.data(), block.data(), shared, text, sizeof(text)))
            throw Failure{CUDA_ERROR_LAUNCH_FAILED, kernel->name + ": " + text};
        for (auto& use : uses) memory().check_guard(use, kernel->name.c_str());
    }
};

/* What lies between CU_LAUNCH_PARAM_BUFFER_POINTER and CU_LAUNCH_PARAM_END. */
std::vector<char> packed(void** extra) {
    constexpr size_t MOST = 32764;
    const char* buffer = nullptr;
    size_t nbytes = 0;
    for (; extra && extra[0] != CU_LAUNCH_PARAM_END; extra += 2) {
        if (extra[0] == CU_LAUNCH_PARAM_BUFFER_POINTER) buffer = static_cast<const char*>(extra[1]);
        else if (extra[0] == CU_LAUNCH_PARAM_BUFFER_SIZE) nbytes = *static_cast<const size_t*>(extra[1]);
        else fail(CUDA_ERROR_INVALID_VALUE, "extra has an entry that is none of CU_LAUNCH_PARAM_...");
    }
    if (nbytes > MOST) fail(CUDA_ERROR_INVALID_VALUE, "%zu bytes of parameters, of %zu", nbytes, MOST);
    return nbytes ? std::vector<char>(&required(buffer, "the parameter buffer"), buffer + nbytes)
                  : std::vector<char>();
}

void check_parameters(const Work& work) {
    const size_t given = work.parameters.size();
    const size_t taken = work.kernel->parameter_bytes ? *work.kernel->parameter_bytes : given;
    if (given < taken || given >= taken + 16)       // the end may be aligned
        fail(CUDA_ERROR_INVALID_VALUE, "%s takes %zu bytes of parameters and was given %zu", work.kernel->name.c_str(),
             taken, given);
}

void check_limits(const Work& work) {
    auto [gx, gy, gz] = work.grid;
    auto [bx, by, bz] = work.block;
    if (!gx || !gy || !gz || gx > INT_MAX || gy > 65535 || gz > 65535)
        fail(CUDA_ERROR_INVALID_VALUE, "%s: a grid of %u, %u, %u", work.kernel->name.c_str(), gx, gy, gz);
    if (!bx || !by || !bz || bx > MAX_THREADS || by > MAX_THREADS || bz > 64 ||
        (unsigned long)bx * by * bz > MAX_THREADS)
        fail(CUDA_ERROR_INVALID_VALUE, "%s: a block of %u, %u, %u", work.kernel->name.c_str(), bx, by, bz);
    if (work.shared > work.kernel->dynamic_shared)
        fail(CUDA_ERROR_INVALID_VALUE, "%s: %u bytes of shared memory, and only %u were allowed",
             work.kernel->name.c_str(), work.shared, work.kernel->dynamic_shared);
}

}  // namespace

API cuModuleLoadData(CUmodule* module, const void* image) {
    return serve(__func__, [&] { required(module, "module") = load_module(image); });
}

API cuModuleLoadDataEx(CUmodule* module, const void* image, unsigned count, CUjit_option* options, void** values) {
    return serve(__func__, [&] {
        required(module, "module") = load_module(image);
        for (unsigned i = 0; i < count; i++)        // nothing is written to the logs
            if (options[i] == CU_JIT_INFO_LOG_BUFFER_SIZE_BYTES || options[i] == CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES)
                values[i] = nullptr;
    });
}

API cuModuleUnload(CUmodule handle) {
    return serve(__func__, [&] {
        current();
        Capture::forbid_unsafe("cuModuleUnload");
        auto module = modules().take(handle);
        for (auto& [name, kernel] : module->kernels) kernels().take(kernel);
        for (auto& [name, variable] : module->variables) memory().forget(variable.begin);
    });
}

API cuModuleGetFunction(CUfunction* handle, CUmodule module_handle, const char* name) {
    return serve(__func__, [&] {
        auto module = modules().get(module_handle);
        CUfunction& known = module->kernels[name];
        if (!known) {
            std::string symbol = "emulated_launch_" + std::string(name);
            auto launch = reinterpret_cast<Launch>(dlsym(module->library, symbol.c_str()));
            if (!launch) {
                module->kernels.erase(name);
                fail(CUDA_ERROR_NOT_FOUND, "the module has no kernel %s", name);
            }
            auto kernel = std::make_shared<Kernel>();
            kernel->module = module;
            kernel->name = name;
            kernel->launch = launch;
            symbol = "emulated_parameter_bytes_" + std::string(name);
            kernel->parameter_bytes = static_cast<const size_t*>(dlsym(module->library, symbol.c_str()));
            known = kernels().add(kernel);
        }
        required(handle, "function") = known;
    });
}

API cuModuleGetGlobal(CUdeviceptr* address, size_t* nbytes, CUmodule module_handle, const char* name) {
    return serve(__func__, [&] {
        auto module = modules().get(module_handle);
        if (!module->variables.count(name)) {
            void* found = dlsym(module->library, name);
            Dl_info info;
            const Elf64_Sym* symbol = nullptr;
            if (!found || !dladdr1(found, &info, (void**)&symbol, RTLD_DL_SYMENT) || !symbol || !symbol->st_size)
                fail(CUDA_ERROR_NOT_FOUND, "the module has no variable %s", name);
            Allocation variable{reinterpret_cast<uintptr_t>(found), symbol->st_size, 0, CU_MEMORYTYPE_DEVICE,
                                module->context->device, module->context.get(), 0, true};
            memory().adopt(variable);
            module->variables[name] = variable;
        }
        if (address) *address = module->variables[name].begin;
        if (nbytes) *nbytes = module->variables[name].nbytes;
    });
}

API cuFuncGetAttribute(int* value, CUfunction_attribute attribute, CUfunction handle) {
    return serve(__func__, [&] {
        auto kernel = kernels().get(handle);
        switch (attribute) {
        case CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK: *value = MAX_THREADS; break;
        case CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES: *value = kernel->dynamic_shared; break;
        case CU_FUNC_ATTRIBUTE_NUM_REGS: *value = 32; break;
        case CU_FUNC_ATTRIBUTE_BINARY_VERSION:
        case CU_FUNC_ATTRIBUTE_PTX_VERSION: *value = 90; break;
        default: *value = 0;
        }
    });
}

API cuFuncSetAttribute(CUfunction handle, CUfunction_attribute attribute, int value) {
    return serve(__func__, [&] {
        auto kernel = kernels().get(handle);
        if (attribute != CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES) return;
        if (value < 0 || unsigned(value) > MAX_SHARED)
            fail(CUDA_ERROR_INVALID_VALUE, "%s asks for %d bytes of shared memory, of %u", kernel->name.c_str(), value,
                 MAX_SHARED);
        kernel->dynamic_shared = std::max(unsigned(value), DEFAULT_SHARED);
    });
}

/* PyCUDA calls it and then gives the block to cuLaunchKernel all the same. */
API cuFuncSetBlockShape(CUfunction handle, int, int, int) {
    return serve(__func__, [&] { kernels().get(handle); });
}

API cuLaunchKernel(CUfunction handle, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz,
                   unsigned shared, CUstream stream_handle, void** parameters, void** extra) {
    return serve(__func__, [&] {
        auto stream = stream_of(stream_handle);
        if (parameters)
            fail(CUDA_ERROR_NOT_SUPPORTED, "the stand-in cannot know the sizes of parameters: give them packed");
        Work work{kernels().get(handle), packed(extra), {gx, gy, gz}, {bx, by, bz}, shared, {}, ""};
        const Context& context = *work.kernel->module->context;
        if (stream->context.get() != &context)
            fail(CUDA_ERROR_INVALID_HANDLE, "%s was loaded on device %d and the stream is of device %d",
                 work.kernel->name.c_str(), context.device, stream->context->device);
        check_limits(work);
        check_parameters(work);
        work.look_for_pointers(context);
        issue(stream, std::move(work));
    });
}
