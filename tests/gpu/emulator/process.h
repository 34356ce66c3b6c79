/* Running the compiler. */
#pragma once
#include <spawn.h>
#include <string>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

extern char** environ;

struct Outcome {
    bool success;
    std::string output, messages;
};

/* A command with the given input. Nothing touches the disk: all three streams are files in memory. */
inline Outcome execute(const std::vector<std::string>& command, const std::string& input = "") {
    int streams[3];
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    for (int i = 0; i < 3; i++) {
        streams[i] = memfd_create("stream", MFD_CLOEXEC);
        posix_spawn_file_actions_adddup2(&actions, streams[i], i);
    }
    for (size_t done = 0; done < input.size();) {
        ssize_t count = write(streams[0], input.data() + done, input.size() - done);
        if (count <= 0) break;
        done += count;
    }
    lseek(streams[0], 0, SEEK_SET);

    std::vector<char*> arguments, variables;
    for (const std::string& word : command) arguments.push_back(const_cast<char*>(word.c_str()));
    arguments.push_back(nullptr);
    for (char** variable = environ; *variable; variable++)      /* a sanitizer preloaded here is not for the compiler */
        if (std::string(*variable).rfind("LD_PRELOAD=", 0) != 0) variables.push_back(*variable);
    variables.push_back(nullptr);

    pid_t child;
    int status = 1;
    const int problem = posix_spawnp(&child, arguments[0], &actions, nullptr, arguments.data(), variables.data());
    if (!problem) waitpid(child, &status, 0);
    posix_spawn_file_actions_destroy(&actions);

    Outcome outcome{!problem && status == 0, "", ""};
    for (int i = 1; i < 3; i++) {
        std::string& text = i == 1 ? outcome.output : outcome.messages;
        text.resize(lseek(streams[i], 0, SEEK_END));
        if (pread(streams[i], text.data(), text.size(), 0) != ssize_t(text.size())) text.clear();
    }
    for (int stream : streams) close(stream);
    if (problem) outcome.messages = command[0] + " cannot be run";
    return outcome;
}
