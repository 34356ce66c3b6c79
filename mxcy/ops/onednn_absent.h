// Where oneDNN's headers are missing, these stand in: every creation fails, and our own kernels do the work.
#pragma once
typedef struct dnnl_engine* dnnl_engine_t;
typedef struct dnnl_stream* dnnl_stream_t;
typedef struct dnnl_memory* dnnl_memory_t;
typedef struct dnnl_memory_desc* dnnl_memory_desc_t;
typedef const struct dnnl_memory_desc* const_dnnl_memory_desc_t;
typedef struct dnnl_primitive* dnnl_primitive_t;
typedef struct dnnl_primitive_desc* dnnl_primitive_desc_t;
typedef struct dnnl_primitive_attr* dnnl_primitive_attr_t;
typedef struct dnnl_post_ops* dnnl_post_ops_t;
typedef long dnnl_dims_t[12];
typedef struct { int arg; dnnl_memory_t memory; } dnnl_exec_arg_t;
enum { DNNL_ARG_SRC, DNNL_ARG_DST, DNNL_ARG_WEIGHTS, DNNL_ARG_BIAS, DNNL_ARG_DIFF_SRC, DNNL_ARG_DIFF_DST,
       DNNL_ARG_DIFF_WEIGHTS, DNNL_ARG_DIFF_BIAS, DNNL_ARG_SCRATCHPAD, DNNL_ARG_SRC_1 };
#define DNNL_ARG_ATTR_MULTIPLE_POST_OP(i) (i)
typedef enum { dnnl_a, dnnl_abc, dnnl_abcd, dnnl_abcde, dnnl_abcdef, dnnl_acb, dnnl_acdb, dnnl_acdeb,
               dnnl_format_tag_any } dnnl_format_tag_t;
typedef enum { dnnl_query_src_md, dnnl_query_weights_md, dnnl_query_dst_md, dnnl_query_diff_src_md,
               dnnl_query_diff_weights_md, dnnl_query_diff_dst_md, dnnl_query_scratchpad_md,
               dnnl_query_impl_info_str } dnnl_query_t;
enum { dnnl_cpu, dnnl_f32, dnnl_forward_training, dnnl_convolution_direct, dnnl_scratchpad_mode_user,
       dnnl_stream_default_flags, dnnl_binary_add, dnnl_eltwise_relu, dnnl_eltwise_clip, dnnl_eltwise_logistic,
       dnnl_eltwise_tanh, dnnl_eltwise_elu };
static int dnnl_absent(...) { return 1; }
static const_dnnl_memory_desc_t dnnl_absent_desc(...) { return 0; }
#define dnnl_engine_create dnnl_absent
#define dnnl_stream_create dnnl_absent
#define dnnl_memory_create dnnl_absent
#define dnnl_memory_destroy dnnl_absent
#define dnnl_memory_set_data_handle dnnl_absent
#define dnnl_memory_desc_create_with_tag dnnl_absent
#define dnnl_memory_desc_create_with_strides dnnl_absent
#define dnnl_memory_desc_clone dnnl_absent
#define dnnl_memory_desc_destroy dnnl_absent
#define dnnl_memory_desc_equal dnnl_absent
#define dnnl_memory_desc_get_size dnnl_absent
#define dnnl_primitive_create dnnl_absent
#define dnnl_primitive_destroy dnnl_absent
#define dnnl_primitive_execute dnnl_absent
#define dnnl_primitive_attr_create dnnl_absent
#define dnnl_primitive_attr_set_scratchpad_mode dnnl_absent
#define dnnl_primitive_attr_destroy dnnl_absent
#define dnnl_primitive_attr_set_post_ops dnnl_absent
#define dnnl_post_ops_create dnnl_absent
#define dnnl_post_ops_destroy dnnl_absent
#define dnnl_post_ops_append_sum dnnl_absent
#define dnnl_post_ops_append_binary dnnl_absent
#define dnnl_post_ops_append_eltwise dnnl_absent
#define dnnl_primitive_desc_destroy dnnl_absent
#define dnnl_primitive_desc_query dnnl_absent
#define dnnl_primitive_desc_query_md dnnl_absent_desc
#define dnnl_sgemm dnnl_absent
#define dnnl_reorder_primitive_desc_create dnnl_absent
#define dnnl_convolution_forward_primitive_desc_create dnnl_absent
#define dnnl_convolution_backward_data_primitive_desc_create dnnl_absent
#define dnnl_convolution_backward_weights_primitive_desc_create dnnl_absent
