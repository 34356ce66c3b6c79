/* Functions rare enough to be computed one element at a time, in double: gamma and its logarithm, their derivatives,
   the inverse of erf. */
#ifndef MXCY_OPS_SPECIAL_H
#define MXCY_OPS_SPECIAL_H
#include <cmath>
#include "mxcy/ops/vmath.h"

namespace mxcy {

static inline double gamma(double x) { return std::tgamma(x); }

static inline double gammaln(double x) {
    int sign;                                              // lgamma writes a global instead
    return ::lgamma_r(x, &sign);
}

/* A rough formula (Winitzki), then two Halley steps, each of which triples the number of right digits. */
static inline double erfinv(double x) {
    double a = std::fabs(x), gap = 1. - a;
    if (!(a < 1.)) return a == 1. ? std::copysign(INF<double>, x) : NOT_A_NUMBER<double>;
    double w = std::log1p(-a * a), b = 4.330746750799873 + .5 * w;              // 2 / (0.147 pi)
    double y = a < 1e-3 ? a * 0.886226925452758 : std::sqrt(std::sqrt(b * b - w / .147) - b);
    for (int step = 0; step < 2; step++) {
        double error = a < .5 ? std::erf(y) - a : gap - std::erfc(y);
        double u = error / (1.1283791670955126 * std::exp(-y * y));
        y -= u / (1. + y * u);
    }
    return std::copysign(y, x);
}

/* Derivative number n + 1 of gammaln at x, n >= 0: 0 is digamma, 1 trigamma.
   Recurrence up to x >= 16, then the asymptotic series. Poles give NaN. */
static inline double polygamma(int n, double x) {
    constexpr double bernoulli[] = {1. / 6, -1. / 30, 1. / 42, -1. / 30, 5. / 66, -691. / 2730, 7. / 6, -3617. / 510};
    constexpr double pi = 3.14159265358979324, reach = -1e4;
    if (x <= 0. && x == std::floor(x)) return NOT_A_NUMBER<double>;
    double reflected = 0.;
    if (x < 0. && n == 0) {
        reflected = pi / std::tan(pi * (x - std::floor(x)));
        x = 1. - x;
    }
    if (x < reach) return NOT_A_NUMBER<double>;            // no closed form, and the recurrence would take too long
    double sign = n % 2 ? 1. : -1., factorial = std::tgamma(n + 1.), sum = 0.;
    for (; x < 16. + n; x += 1.) sum += n ? std::pow(x, -(n + 1.)) : 1. / x;
    if (x == INF<double>) return n ? 0. : x;
    double tail = n ? std::pow(x, -double(n)) / n + .5 * std::pow(x, -(n + 1.)) : .5 / x - std::log(x);
    double power = std::pow(x, -(n + 2.)), c = .5 * (n + 1.);                   // c_k = (2k + n - 1)! / ((2k)! n!)
    for (int k = 1; k <= 8; k++, power /= x * x) {
        tail += bernoulli[k - 1] * c * power;
        c *= (n + 2. * k) * (n + 2. * k + 1.) / ((2. * k + 1.) * (2. * k + 2.));
    }
    return sign * factorial * (sum + tail) - reflected;
}

}  // namespace mxcy
#endif
