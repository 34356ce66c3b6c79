/* A stand-in for libnvrtc: the same functions, but g++ compiles, for the emulator.

   The machine code is a shared library. For each kernel it has a function, which returns 0, or 1 and a message, and the
   size of the parameters:
       int emulated_launch_<kernel>(const void* parameters, const unsigned* grid, const unsigned* block,
                                    unsigned shared_bytes, char* text, size_t room);
       const size_t emulated_parameter_bytes_<kernel>;

   CUDA_EMULATOR_FLAGS: further flags for g++, such as -fsanitize=undefined
   CUDA_EMULATOR_CACHE: the folder for what is compiled, instead of CACHE_FOLDER */
#include <cstring>
#include <regex>
#include "toolchain.h"

enum nvrtcResult {
    NVRTC_SUCCESS = 0,
    NVRTC_ERROR_PROGRAM_CREATION_FAILURE = 2,
    NVRTC_ERROR_INVALID_INPUT = 3,
    NVRTC_ERROR_INVALID_PROGRAM = 4,
    NVRTC_ERROR_INVALID_OPTION = 5,
    NVRTC_ERROR_COMPILATION = 6,
};
struct _nvrtcProgram {
    std::string name, source, log, code;
};
typedef _nvrtcProgram* nvrtcProgram;

namespace {

const int ARCHITECTURES[] = {75, 80, 86, 87, 88, 89, 90, 100, 103, 110, 120, 121};

/* Options that mean nothing to g++. */
const char* const IGNORED[] = {
    "-default-device", "--device-as-default-execution-space", "-lineinfo", "--generate-line-info", "-G",
    "--device-debug",
    "-use_fast_math", "--use_fast_math", "-fmad=", "--fmad=", "-ftz=", "--ftz=", "-prec-div=", "--prec-div=",
    "-prec-sqrt=", "--prec-sqrt=", "-maxrregcount=", "--maxrregcount=", "-diag-", "--diag-", "-w", "--disable-warnings",
    "-device-int128", "--device-int128", "-dopt=", "--dopt=", "-Xptxas=", "--ptxas-options=", "-rdc=false",
};

bool starts_with(const std::string& text, const std::string& with) { return text.compare(0, with.size(), with) == 0; }

template <class List, class Test> bool contains(const List& list, Test test) {
    return std::any_of(std::begin(list), std::end(list), test);
}

/* What follows one of the names, either in this option or as the next one; NULL if it is another option. */
const char* value_of(std::initializer_list<const char*> names, const char* const* options, int count, int& i) {
    for (const std::string name : names) {
        if (name == options[i] && name.back() != '=') return i + 1 < count ? options[++i] : nullptr;
        if (starts_with(options[i], name)) return options[i] + name.size();
    }
    return nullptr;
}

bool is_architecture(const std::string& name) {
    std::smatch parts;
    if (!std::regex_match(name, parts, std::regex("(?:sm|compute)_(\\d+)[af]?"))) return false;
    return contains(ARCHITECTURES, [&](int number) { return number == std::stoi(parts[1]); });
}

/* The options for g++; false with a message in log if one is unknown. */
bool translate(const char* const* options, int count, Words& flags, std::string& log) {
    for (int i = 0; i < count; i++) {
        const std::string option = options[i];
        if (const char* name = value_of({"-arch=", "--gpu-architecture="}, options, count, i)) {
            if (!is_architecture(name)) log = "error: invalid value for --gpu-architecture (" + std::string(name) + ")";
        } else if (const char* folder = value_of({"-I", "--include-path="}, options, count, i)) {
            /* Stand-ins for the standard library's headers are for a compiler that has none. */
            if (!fs::exists(fs::path(folder) / "cmath")) flags.push_back(std::string("-I") + folder);
        } else if (const char* macro = value_of({"-D", "--define-macro="}, options, count, i)) {
            flags.push_back(std::string("-D") + macro);
        } else if (const char* standard = value_of({"-std=", "--std="}, options, count, i)) {
            flags.push_back(std::string("-std=") + standard);
        } else if (!contains(IGNORED, [&](const char* known) { return starts_with(option, known); })) {
            log = "error: unrecognized option " + option;
        }
    }
    return log.empty();
}

/* What is exported for a kernel. */
const char EXPORTED[] = R"(
extern "C" __attribute__((visibility("default")))
int emulated_launch_NAME(const void* parameters, const unsigned* grid, const unsigned* block, unsigned shared_bytes,
                         char* text, size_t room) {
    return cuda_emulator::Kernel<NAME>::launch("NAME", parameters, grid, block, shared_bytes, text, room);
}
extern "C" __attribute__((visibility("default")))
const size_t emulated_parameter_bytes_NAME = cuda_emulator::Kernel<NAME>::offsets.back();
)";

/* The kernels of a preprocessed text are what `extern "C" __global__` marks. */
std::string exports(const std::string& text) {
    static const std::regex line_marker("^#.*$", std::regex::multiline), name("NAME");
    static const std::regex kernel(R"(extern\s+"C"\s+__attribute__\(\(used\)\)\s+void\s+(\w+)\s*\()");
    const std::string plain = std::regex_replace(text, line_marker, "");
    std::string result = "\n# 1 \"exports\"\n";
    for (std::sregex_iterator match(plain.begin(), plain.end(), kernel), end; match != end; ++match)
        result += std::regex_replace(EXPORTED, name, (*match)[1].str());
    return result;
}

nvrtcResult compile(_nvrtcProgram& program, const Words& flags) {
    const Toolchain& tools = toolchain();
    program.log = tools.problem;
    if (!tools.problem.empty()) return NVRTC_ERROR_COMPILATION;

    const Words preprocess = {"-E", "-fpch-preprocess", "-I" + tools.folder.string(), "-include", "cuda_emulator.h"};
    const Outcome preprocessed = execute(tools.command + preprocess + flags + Words{"-x", "c++", "-"},
                                         "#line 1 \"" + program.name + "\"\n" + program.source);
    program.log = preprocessed.messages;
    if (!preprocessed.success) return NVRTC_ERROR_COMPILATION;

    const std::string text = preprocessed.output + exports(preprocessed.output);
    const fs::path library = tools.cache / (digest(tools.folder.string() + text) + ".so");
    if (!fs::exists(library)) {
        const fs::path made = unfinished(library);
        const Words link = {"-shared", "-Wl,-z,defs,-Bsymbolic", "-x", "c++-cpp-output", "-", "-x", "none",
                            tools.runtime(), "-o", made};
        const Outcome compiled = execute(tools.command + link, text);
        program.log += compiled.messages;
        if (!compiled.success) return NVRTC_ERROR_COMPILATION;
        fs::rename(made, library);
    }
    program.code = read_file(library);
    return NVRTC_SUCCESS;
}

}

#define API extern "C" __attribute__((visibility("default")))

API nvrtcResult nvrtcVersion(int* major, int* minor) {
    *major = 13;
    *minor = 0;
    return NVRTC_SUCCESS;
}

API const char* nvrtcGetErrorString(nvrtcResult result) {
    switch (result) {
        case NVRTC_SUCCESS: return "NVRTC_SUCCESS";
        case NVRTC_ERROR_PROGRAM_CREATION_FAILURE: return "NVRTC_ERROR_PROGRAM_CREATION_FAILURE";
        case NVRTC_ERROR_INVALID_INPUT: return "NVRTC_ERROR_INVALID_INPUT";
        case NVRTC_ERROR_INVALID_PROGRAM: return "NVRTC_ERROR_INVALID_PROGRAM";
        case NVRTC_ERROR_INVALID_OPTION: return "NVRTC_ERROR_INVALID_OPTION";
        case NVRTC_ERROR_COMPILATION: return "NVRTC_ERROR_COMPILATION";
    }
    return "NVRTC_ERROR unknown";
}

API nvrtcResult nvrtcGetNumSupportedArchs(int* count) {
    *count = std::size(ARCHITECTURES);
    return NVRTC_SUCCESS;
}

API nvrtcResult nvrtcGetSupportedArchs(int* architectures) {
    std::copy(std::begin(ARCHITECTURES), std::end(ARCHITECTURES), architectures);
    return NVRTC_SUCCESS;
}

API nvrtcResult nvrtcCreateProgram(nvrtcProgram* program, const char* source, const char* name, int headers,
                                   const char* const*, const char* const*) {
    if (!program || !source || headers < 0) return NVRTC_ERROR_INVALID_INPUT;
    if (headers) return NVRTC_ERROR_PROGRAM_CREATION_FAILURE;           /* headers in memory are not needed so far */
    *program = new _nvrtcProgram{name ? name : "default_program", source, "", ""};
    return NVRTC_SUCCESS;
}

API nvrtcResult nvrtcDestroyProgram(nvrtcProgram* program) {
    if (!program || !*program) return NVRTC_ERROR_INVALID_PROGRAM;
    delete *program;
    *program = nullptr;
    return NVRTC_SUCCESS;
}

API nvrtcResult nvrtcCompileProgram(nvrtcProgram program, int count, const char* const* options) {
    if (!program) return NVRTC_ERROR_INVALID_PROGRAM;
    Words flags;
    program->log.clear();
    program->code.clear();
    if (!translate(options, count, flags, program->log)) return NVRTC_ERROR_INVALID_OPTION;
    return compile(*program, flags);
}

API nvrtcResult nvrtcGetCUBINSize(nvrtcProgram program, size_t* size) {
    if (!program) return NVRTC_ERROR_INVALID_PROGRAM;
    *size = program->code.size();
    return NVRTC_SUCCESS;
}

API nvrtcResult nvrtcGetCUBIN(nvrtcProgram program, char* code) {
    if (!program || program->code.empty()) return NVRTC_ERROR_INVALID_PROGRAM;
    memcpy(code, program->code.data(), program->code.size());
    return NVRTC_SUCCESS;
}

API nvrtcResult nvrtcGetProgramLogSize(nvrtcProgram program, size_t* size) {
    if (!program) return NVRTC_ERROR_INVALID_PROGRAM;
    *size = program->log.size() + 1;
    return NVRTC_SUCCESS;
}

API nvrtcResult nvrtcGetProgramLog(nvrtcProgram program, char* log) {
    if (!program) return NVRTC_ERROR_INVALID_PROGRAM;
    memcpy(log, program->log.c_str(), program->log.size() + 1);
    return NVRTC_SUCCESS;
}
