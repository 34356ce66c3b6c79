#include "product.h"

#include <deque>
#include <mutex>

namespace standin {

namespace {

/* Kept for good: a recording may run it again. */
Product* keep(const Product& product) {
    static auto& lock = *new std::mutex;
    static auto& all = *new std::deque<Product>;
    std::lock_guard<std::mutex> guard(lock);
    all.push_back(product);
    return &all.back();
}

void run(void* data) {
    const auto& p = *static_cast<const Product*>(data);
    const int kind = p.d.layout.kind;
    memset(p.workspace, 0xA5, p.scratch);               // so that nobody else can be using it
    for (int64_t batch = 0; batch < p.d.layout.count; batch++)
        for (int64_t j = 0; j < p.n; j++)
            for (int64_t i = 0; i < p.m; i++) {
                double sum = 0;
                for (int64_t l = 0; l < p.k; l++) sum += load(p.a.at(batch, i, l), kind) * load(p.b.at(batch, l, j), kind);
                sum *= p.alpha;
                if (p.beta) sum += p.beta * load(p.c.at(batch, i, j), kind);
                if (p.bias) sum += load(p.bias + i * size_of(kind), kind);
                store(p.d.at(batch, i, j), kind, sum);
            }
}

}  // namespace

int issue(const Product& product, void* stream) {
    return call_in(stream, run, keep(product)) ? EXECUTION_FAILED : SUCCESS;
}

}  // namespace standin
