# cython: language_level=3
"""The part of oneDNN's C API that we use, as of 3.2; stubs that fail where its headers are missing."""
from libc.stdint cimport int64_t

cdef extern from *:
    """
    #ifdef MXCY_NO_ONEDNN
    #include "mxcy/ops/onednn_absent.h"
    #else
    #include <oneapi/dnnl/dnnl.h>
    #endif
    """
    ctypedef void* dnnl_engine_t
    ctypedef void* dnnl_stream_t
    ctypedef void* dnnl_memory_t
    ctypedef void* dnnl_memory_desc_t
    ctypedef const void* const_dnnl_memory_desc_t
    ctypedef void* dnnl_primitive_t
    ctypedef void* dnnl_primitive_desc_t
    ctypedef void* dnnl_primitive_attr_t
    ctypedef void* dnnl_post_ops_t
    ctypedef int dnnl_format_tag_t
    ctypedef int dnnl_query_t
    ctypedef struct dnnl_exec_arg_t:
        int arg
        dnnl_memory_t memory
    int DNNL_ARG_SRC, DNNL_ARG_DST, DNNL_ARG_WEIGHTS, DNNL_ARG_BIAS, DNNL_ARG_SCRATCHPAD, DNNL_ARG_SRC_1
    int DNNL_ARG_DIFF_SRC, DNNL_ARG_DIFF_DST, DNNL_ARG_DIFF_WEIGHTS
    int dnnl_cpu, dnnl_f32, dnnl_forward_training, dnnl_convolution_direct, dnnl_scratchpad_mode_user
    int dnnl_stream_default_flags, dnnl_binary_add, dnnl_eltwise_relu, dnnl_eltwise_clip, dnnl_eltwise_logistic
    int dnnl_eltwise_tanh, dnnl_eltwise_elu
    int DNNL_ARG_ATTR_MULTIPLE_POST_OP(int) nogil
    dnnl_format_tag_t dnnl_a, dnnl_abc, dnnl_abcd, dnnl_abcde, dnnl_abcdef, dnnl_acb, dnnl_acdb, dnnl_acdeb
    dnnl_format_tag_t dnnl_format_tag_any
    dnnl_query_t dnnl_query_src_md, dnnl_query_weights_md, dnnl_query_dst_md, dnnl_query_scratchpad_md
    dnnl_query_t dnnl_query_diff_src_md, dnnl_query_diff_weights_md, dnnl_query_diff_dst_md, dnnl_query_impl_info_str
    int dnnl_engine_create(dnnl_engine_t*, int, size_t) nogil
    int dnnl_stream_create(dnnl_stream_t*, dnnl_engine_t, int) nogil
    int dnnl_memory_create(dnnl_memory_t*, const_dnnl_memory_desc_t, dnnl_engine_t, void*) nogil
    int dnnl_memory_destroy(dnnl_memory_t) nogil
    int dnnl_memory_set_data_handle(dnnl_memory_t, void*) nogil
    int dnnl_memory_desc_create_with_tag(dnnl_memory_desc_t*, int, const int64_t*, int, dnnl_format_tag_t) nogil
    int dnnl_memory_desc_create_with_strides(dnnl_memory_desc_t*, int, const int64_t*, int, const int64_t*) nogil
    int dnnl_memory_desc_clone(dnnl_memory_desc_t*, const_dnnl_memory_desc_t) nogil
    int dnnl_memory_desc_destroy(dnnl_memory_desc_t) nogil
    int dnnl_memory_desc_equal(const_dnnl_memory_desc_t, const_dnnl_memory_desc_t) nogil
    size_t dnnl_memory_desc_get_size(const_dnnl_memory_desc_t) nogil
    int dnnl_primitive_create(dnnl_primitive_t*, dnnl_primitive_desc_t) nogil
    int dnnl_primitive_destroy(dnnl_primitive_t) nogil
    int dnnl_primitive_execute(dnnl_primitive_t, dnnl_stream_t, int, const dnnl_exec_arg_t*) nogil
    int dnnl_primitive_attr_create(dnnl_primitive_attr_t*) nogil
    int dnnl_primitive_attr_set_scratchpad_mode(dnnl_primitive_attr_t, int) nogil
    int dnnl_primitive_attr_destroy(dnnl_primitive_attr_t) nogil
    int dnnl_primitive_attr_set_post_ops(dnnl_primitive_attr_t, dnnl_post_ops_t) nogil
    int dnnl_post_ops_create(dnnl_post_ops_t*) nogil
    int dnnl_post_ops_destroy(dnnl_post_ops_t) nogil
    int dnnl_post_ops_append_sum(dnnl_post_ops_t, float, int, int) nogil
    int dnnl_post_ops_append_binary(dnnl_post_ops_t, int, const_dnnl_memory_desc_t) nogil
    int dnnl_post_ops_append_eltwise(dnnl_post_ops_t, int, float, float) nogil
    int dnnl_primitive_desc_destroy(dnnl_primitive_desc_t) nogil
    int dnnl_primitive_desc_query(dnnl_primitive_desc_t, dnnl_query_t, int, void*) nogil
    const_dnnl_memory_desc_t dnnl_primitive_desc_query_md(dnnl_primitive_desc_t, dnnl_query_t, int) nogil
    int dnnl_sgemm(char, char, int64_t, int64_t, int64_t, float, const float*, int64_t, const float*, int64_t, float,
                   float*, int64_t) nogil
    int dnnl_reorder_primitive_desc_create(dnnl_primitive_desc_t*, const_dnnl_memory_desc_t, dnnl_engine_t,
                                           const_dnnl_memory_desc_t, dnnl_engine_t, dnnl_primitive_attr_t) nogil
    int dnnl_convolution_forward_primitive_desc_create(
        dnnl_primitive_desc_t*, dnnl_engine_t, int, int, const_dnnl_memory_desc_t, const_dnnl_memory_desc_t,
        const_dnnl_memory_desc_t, const_dnnl_memory_desc_t, const int64_t*, const int64_t*, const int64_t*,
        const int64_t*, dnnl_primitive_attr_t) nogil
    int dnnl_convolution_backward_data_primitive_desc_create(
        dnnl_primitive_desc_t*, dnnl_engine_t, int, const_dnnl_memory_desc_t, const_dnnl_memory_desc_t,
        const_dnnl_memory_desc_t, const int64_t*, const int64_t*, const int64_t*, const int64_t*,
        dnnl_primitive_desc_t, dnnl_primitive_attr_t) nogil
    int dnnl_convolution_backward_weights_primitive_desc_create(
        dnnl_primitive_desc_t*, dnnl_engine_t, int, const_dnnl_memory_desc_t, const_dnnl_memory_desc_t,
        const_dnnl_memory_desc_t, const_dnnl_memory_desc_t, const int64_t*, const int64_t*, const int64_t*,
        const int64_t*, dnnl_primitive_desc_t, dnnl_primitive_attr_t) nogil
