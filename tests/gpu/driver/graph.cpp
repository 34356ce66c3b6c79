/* Graphs, which capture makes, and how they are run. */
#include "capture.h"
#include "context.h"

using namespace standin;

namespace {

struct Executable {
    static constexpr const char* what = "executable graph";
    static constexpr int kind = 5;

    std::shared_ptr<const Graph> graph;
    std::minstd_rand random;
    Point end;                              // of its last run: the next one waits for it
};

Registry<CUgraph, Graph>& graphs() {
    static auto& registry = *new Registry<CUgraph, Graph>;
    return registry;
}

Registry<CUgraphExec, Executable>& executables() {
    static auto& registry = *new Registry<CUgraphExec, Executable>;
    return registry;
}

}  // namespace

API cuStreamEndCapture(CUstream handle, CUgraph* graph) {
    return serve(__func__, [&] {
        required(graph, "graph") = nullptr;
        *graph = graphs().add(Capture::end(stream_of(handle)));
    });
}

API cuGraphGetNodes(CUgraph handle, CUgraphNode* nodes, size_t* count) {
    return serve(__func__, [&] {
        if (nodes) fail(CUDA_ERROR_NOT_SUPPORTED, "the stand-in counts the nodes of a graph and does not show them");
        required(count, "count") = graphs().get(handle)->nodes.size();
    });
}

API cuGraphDestroy(CUgraph handle) {
    return serve(__func__, [&] { graphs().take(handle); });
}

API cuGraphInstantiate(CUgraphExec* handle, CUgraph graph, unsigned long long) {
    return serve(__func__, [&] {
        current();
        auto executable = std::make_shared<Executable>();
        executable->graph = std::make_shared<Graph>(*graphs().get(graph));
        executable->random.seed(setting("STANDIN_SEED", 0) + 1);
        required(handle, "executable graph") = executables().add(executable);
    });
}

API cuGraphLaunch(CUgraphExec handle, CUstream stream_handle) {
    return serve(__func__, [&] {
        auto executable = executables().get(handle);
        auto stream = stream_of(stream_handle);
        Capture::forbid(*stream, "cuGraphLaunch");
        executable->end =
            issue(stream, [executable] { executable->graph->run(executable->random); }, {executable->end});
    });
}

API cuGraphExecDestroy(CUgraphExec handle) {
    return serve(__func__, [&] { executables().take(handle); });
}
