/* g++ with its flags, and what is compiled once for them: the runtime, and the emulator's header. */
#pragma once
#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <mutex>
#include <set>
#include <sstream>
#include <string>
#include <vector>
#include "process.h"

namespace fs = std::filesystem;
typedef std::vector<std::string> Words;

inline Words operator+(Words list, const Words& more) {
    list.insert(list.end(), more.begin(), more.end());
    return list;
}

inline std::string variable(const char* name, const char* otherwise) {
    const char* value = getenv(name);
    return value ? value : otherwise;
}
inline Words split(const std::string& text) {
    std::istringstream stream(text);
    return {std::istream_iterator<std::string>(stream), {}};
}

inline std::string read_file(const fs::path& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
}

inline std::string digest(const std::string& text) {            /* two Fowler-Noll-Vo hashes: 128 bits */
    uint64_t a = 0xcbf29ce484222325, b = 0x84222325cbf29ce4;
    for (unsigned char c : text) {
        a = (a ^ c) * 0x100000001b3;
        b = (b ^ (c + 1)) * 0x100000001b3;
    }
    std::ostringstream stream;
    stream << std::hex << a << b;
    return stream.str();
}

/* Beside the result, a name that no other thread or process uses. */
inline fs::path unfinished(const fs::path& result) {
    static std::atomic<int> count{0};
    return result.string() + "." + std::to_string(getpid()) + "." + std::to_string(count++);
}

struct Toolchain {
    fs::path cache;
    fs::path folder;                                            /* holds what is compiled once */
    Words command;
    std::string problem;                                        /* why it could not be */
    fs::path runtime() const { return folder / "libcuda_emulator.so"; }
};

inline Toolchain make_toolchain(const std::string& compiler, const std::string& flags, const fs::path& cache) {
    const fs::path sources = EMULATOR_FOLDER;
    Toolchain tools;
    tools.cache = cache;
    /* -fno-gnu-unique: __shared__ variables of one name in two kernels' libraries are two variables. */
    tools.command = split(compiler) + Words{"-std=c++17", "-O1", "-fPIC", "-w", "-ffp-contract=off", "-fno-math-errno",
                                            "-fno-exceptions", "-fno-gnu-unique", "-fno-semantic-interposition",
                                            "-fvisibility=hidden"} + split(flags);
    std::string key = __VERSION__;
    for (const std::string& word : tools.command) key += word + "\n";
    for (const auto& file : std::set<fs::path>(fs::directory_iterator(sources), {})) key += read_file(file);
    tools.folder = cache / digest(key);
    if (fs::exists(tools.folder)) return tools;

    const fs::path made = unfinished(tools.folder);
    fs::create_directories(made);
    /* -z nodelete: threads may end, and clean up, after the last module was unloaded. */
    const Words library = {"-O2", "-ftls-model=initial-exec", "-shared", "-pthread", "-Wl,-z,nodelete",
                           sources / "fiber.cpp", sources / "scheduler.cpp", sources / "runtime.cpp",
                           "-o", made / "libcuda_emulator.so"};
    const Words header = {"-x", "c++-header", sources / "cuda_emulator.h", "-o", made / "cuda_emulator.h.gch"};
    const Outcome outcomes[] = {execute(tools.command + library), execute(tools.command + header)};
    std::error_code lost;                                       /* against another process that did the same */
    if (outcomes[0].success && outcomes[1].success) fs::rename(made, tools.folder, lost);
    else tools.problem = outcomes[0].messages + outcomes[1].messages;
    fs::remove_all(made, lost);
    return tools;
}

/* As the environment wants it now. */
inline const Toolchain& toolchain() {
    static std::mutex mutex;
    static std::map<Words, Toolchain> known;
    const Words wanted = {variable("CXX", "g++"), variable("CUDA_EMULATOR_FLAGS", ""),
                          variable("CUDA_EMULATOR_CACHE", CACHE_FOLDER)};
    std::lock_guard<std::mutex> lock(mutex);
    auto found = known.find(wanted);
    if (found == known.end()) found = known.emplace(wanted, make_toolchain(wanted[0], wanted[1], wanted[2])).first;
    return found->second;
}
