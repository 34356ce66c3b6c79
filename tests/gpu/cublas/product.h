/* Products by loops, in stream order. */
#pragma once

#include "descriptions.h"

namespace standin {

struct Matrix {
    Layout layout;
    char* data;
    bool transposed;

    char* at(int64_t batch, int64_t row, int64_t column) const {
        return data + (batch * layout.step + (transposed ? column + row * layout.ld : row + column * layout.ld))
                      * size_of(layout.kind);
    }
};

struct Product {                            // d = alpha a b + beta c + bias
    Matrix a, b, c, d;
    int64_t m, n, k;
    double alpha, beta;
    const char* bias;                       // a number for each row of d, or NULL
    char* workspace;
    size_t scratch;                         // bytes of it
};

/* Issue it to a stream; a status. */
int issue(const Product& product, void* stream);

}  // namespace standin
