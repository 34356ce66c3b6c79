/* Optimizer updates: what happens to one item of a weight. The order of the operations is that of MXNet 1.x.

   A rule is made from the numbers of a call and then applied to every item; a, b, c are the items of the states. */
#ifndef MXCY_OPS_UPDATE_H
#define MXCY_OPS_UPDATE_H
#include <cmath>
#include <limits>
#include <stddef.h>

namespace mxcy_update {

enum { SGD, SGD_MOM, NAG, ADAM, ADAMW, RMSPROP, RMSPROP_CENTRED, FTRL, FTML, SIGN, SIGNUM, LAMB };

struct Numbers {                        /* of one weight; packed by _update.pyx in this order */
    double lr, wd, rescale, clip, momentum, beta1, beta2, epsilon;
    double extra[2];                    /* see each rule */
};

struct Step {                           /* n items of everything; out may be weight */
    const Numbers* numbers;
    void* out;
    const void* weight;
    const void* grad;
    void* states[3];
    ptrdiff_t n;
};

/* x within [-limit, limit]; NaN stays. A negative clip means no limit. */
template <class T> static inline T limit(double clip) { return clip >= 0 ? T(clip) : std::numeric_limits<T>::infinity(); }
template <class T> static inline T within(T x, T most) { return x > most ? most : x < -most ? -most : x; }
template <class T> static inline T sign(T x) { return T(x > 0) - T(x < 0); }

template <class T> struct Rule {
    const T lr, wd, rescale, most;
    explicit Rule(const Numbers& p) : lr(T(p.lr)), wd(T(p.wd)), rescale(T(p.rescale)), most(limit<T>(p.clip)) {}
    T scaled(T g) const { return within(rescale * g, most); }
    T decayed(T w, T g) const { return scaled(g) + wd * w; }
    T limited(T w, T g) const { return within(rescale * g + wd * w, most); }
};

template <class T> struct Sgd : Rule<T> {
    enum { STATES = 0 };
    using Rule<T>::Rule;
    T operator()(T w, T g, T&, T&, T&) const { return w - this->lr * this->decayed(w, g); }
};

template <class T> struct SgdMom : Rule<T> {
    enum { STATES = 1 };
    const T momentum;
    explicit SgdMom(const Numbers& p) : Rule<T>(p), momentum(T(p.momentum)) {}
    T operator()(T w, T g, T& mom, T&, T&) const {
        mom = momentum * mom - this->lr * this->decayed(w, g);
        return w + mom;
    }
};

template <class T> struct Nag : SgdMom<T> {
    using SgdMom<T>::SgdMom;
    T operator()(T w, T g, T& mom, T&, T&) const {
        const T step = this->lr * this->decayed(w, g);
        mom = this->momentum * mom - step;
        return w + this->momentum * mom - step;
    }
};

template <class T> struct Moments : Rule<T> {           /* mean and mean square of the gradient */
    enum { STATES = 2 };
    const T beta1, beta2, rest1, rest2, epsilon;
    explicit Moments(const Numbers& p)
        : Rule<T>(p), beta1(T(p.beta1)), beta2(T(p.beta2)), rest1(1 - beta1), rest2(1 - beta2), epsilon(T(p.epsilon)) {}
    void average(T g, T& mean, T& square) const {
        mean = beta1 * mean + rest1 * g;
        square = beta2 * square + rest2 * g * g;
    }
};

template <class T> struct Adam : Moments<T> {
    using Moments<T>::Moments;
    T operator()(T w, T g, T& mean, T& square, T&) const {
        this->average(this->limited(w, g), mean, square);
        return w - this->lr * mean / (std::sqrt(square) + this->epsilon);
    }
};

template <class T> struct AdamW : Moments<T> {          /* extra: eta */
    const T eta;
    explicit AdamW(const Numbers& p) : Moments<T>(p), eta(T(p.extra[0])) {}
    T operator()(T w, T g, T& mean, T& square, T&) const {
        this->average(this->scaled(g), mean, square);
        return w - eta * (this->lr * mean / (std::sqrt(square) + this->epsilon) + this->wd * w);
    }
};

template <class T> struct Lamb : Moments<T> {           /* the step, not the weight; extra: what the moments divide by */
    const T bias1, bias2;
    explicit Lamb(const Numbers& p) : Moments<T>(p), bias1(T(p.extra[0])), bias2(T(p.extra[1])) {}
    T operator()(T w, T g, T& mean, T& square, T&) const {
        this->average(this->scaled(g), mean, square);
        return (mean / bias1) / (std::sqrt(square / bias2) + this->epsilon) + this->wd * w;
    }
};

template <class T> struct RmsProp : Rule<T> {           /* beta1: gamma1; extra: clip_weights */
    enum { STATES = 1 };
    const T gamma1, rest1, epsilon, most_weight;
    explicit RmsProp(const Numbers& p)
        : Rule<T>(p), gamma1(T(p.beta1)), rest1(1 - gamma1), epsilon(T(p.epsilon)), most_weight(limit<T>(p.extra[0])) {}
    T operator()(T w, T g, T& square, T&, T&) const {
        g = this->limited(w, g);
        square = rest1 * g * g + gamma1 * square;
        return within(w - this->lr * (g / std::sqrt(square + epsilon)), most_weight);
    }
};

template <class T> struct RmsPropCentred : RmsProp<T> { /* and beta2: gamma2 */
    enum { STATES = 3 };
    const T gamma2;
    explicit RmsPropCentred(const Numbers& p) : RmsProp<T>(p), gamma2(T(p.beta2)) {}
    T operator()(T w, T g, T& square, T& mean, T& delta) const {
        g = this->limited(w, g);
        square = this->rest1 * g * g + this->gamma1 * square;
        mean = this->rest1 * g + this->gamma1 * mean;
        delta = gamma2 * delta - this->lr * (g / std::sqrt(square - mean * mean + this->epsilon));
        return within(w + delta, this->most_weight);
    }
};

template <class T> struct Ftrl : Rule<T> {              /* extra: lamda1, beta */
    enum { STATES = 2 };
    const T lamda1, beta;
    explicit Ftrl(const Numbers& p) : Rule<T>(p), lamda1(T(p.extra[0])), beta(T(p.extra[1])) {}
    T operator()(T w, T g, T& z, T& n, T&) const {
        g = this->scaled(g);
        z += g - (std::sqrt(n + g * g) - std::sqrt(n)) * w / this->lr;
        n += g * g;
        const T next = (sign(z) * lamda1 - z) / ((beta + std::sqrt(n)) / this->lr + this->wd);
        return next * T(std::abs(z) > lamda1);          /* so that NaN stays */
    }
};

template <class T> struct Ftml : Moments<T> {           /* extra: what the moments divide by */
    enum { STATES = 3 };
    const T bias1, bias2;
    explicit Ftml(const Numbers& p) : Moments<T>(p), bias1(T(p.extra[0])), bias2(T(p.extra[1])) {}
    T operator()(T w, T g, T& d, T& v, T& z) const {
        g = this->limited(w, g);
        v = this->beta2 * v + this->rest2 * g * g;
        const T next = bias1 / this->lr * (std::sqrt(v / bias2) + this->epsilon);
        z = this->beta1 * z + this->rest1 * g - (next - this->beta1 * d) * w;
        d = next;
        return -z / next;
    }
};

template <class T> struct Sign : Rule<T> {
    enum { STATES = 0 };
    using Rule<T>::Rule;
    T operator()(T w, T g, T&, T&, T&) const { return (1 - this->lr * this->wd) * w - this->lr * sign(g); }
};

template <class T> struct Signum : SgdMom<T> {          /* extra: wd_lh */
    const T wd_lh;
    explicit Signum(const Numbers& p) : SgdMom<T>(p), wd_lh(T(p.extra[0])) {}
    T operator()(T w, T g, T& mom, T&, T&) const {
        const T rest = 1 - this->momentum;
        mom = this->momentum * mom - rest * this->wd * w - rest * this->scaled(g);
        return (1 - this->lr * wd_lh) * w + this->lr * sign(mom);
    }
};

/* LAMB: the length of the weight, within bounds where they are not negative, over that of the step. */
static inline double lamb_ratio(double length, double step, double low, double high) {
    if (low >= 0 && length < low) length = low;
    if (high >= 0 && length > high) length = high;
    return length == 0 || step == 0 ? 1 : length / step;
}

#ifndef __CUDACC__
template <template <class> class R, class T> static void sweep(const Step* step) {
    const R<T> rule(*step->numbers);
    const ptrdiff_t n = step->n;
    T *out = (T*)step->out, *s0 = (T*)step->states[0], *s1 = (T*)step->states[1], *s2 = (T*)step->states[2];
    const T *w = (const T*)step->weight, *g = (const T*)step->grad;
#pragma omp simd
    for (ptrdiff_t i = 0; i < n; i++) {
        T a = R<T>::STATES > 0 ? s0[i] : T(0), b = R<T>::STATES > 1 ? s1[i] : T(0), c = R<T>::STATES > 2 ? s2[i] : T(0);
        out[i] = rule(w[i], g[i], a, b, c);
        if (R<T>::STATES > 0) s0[i] = a;
        if (R<T>::STATES > 1) s1[i] = b;
        if (R<T>::STATES > 2) s2[i] = c;
    }
}

typedef void (*sweep_t)(const Step* step);

template <class T> static sweep_t sweep_of(int rule) {
    switch (rule) {
        case SGD: return sweep<Sgd, T>;
        case SGD_MOM: return sweep<SgdMom, T>;
        case NAG: return sweep<Nag, T>;
        case ADAM: return sweep<Adam, T>;
        case ADAMW: return sweep<AdamW, T>;
        case RMSPROP: return sweep<RmsProp, T>;
        case RMSPROP_CENTRED: return sweep<RmsPropCentred, T>;
        case FTRL: return sweep<Ftrl, T>;
        case FTML: return sweep<Ftml, T>;
        case SIGN: return sweep<Sign, T>;
        case SIGNUM: return sweep<Signum, T>;
        default: return sweep<Lamb, T>;
    }
}
#endif

}  // namespace mxcy_update
#endif
