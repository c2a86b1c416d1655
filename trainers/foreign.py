"""Keys of TRL's and ``transformers``' configurations that are not taken here, each with the reason,
or with what does the same."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["FOREIGN", "FOREIGN_LORA"]

_OWN_TRL = "in a trl.GRPOTrainer of your own the rubric is a reward function (as_trl_reward)"

_BY_REASON = {
    "it is an argument of the trainer, and in a file a key of the run, beside grpo":
        "output_dir dtype load_in_4bit lora model",
    "model, dtype, lora and load_in_4bit are arguments of the trainer, and in a file keys of the "
    "run, beside grpo": "model_init_kwargs",
    "a run goes on with resume=True of the trainer, or rewardkit train --resume RUN":
        "resume_from_checkpoint ignore_data_skip restore_callback_states_from_checkpoint "
        "overwrite_output_dir",
    f"completions are written by the very model that is trained, and not by vLLM; {_OWN_TRL}":
        "use_vllm vllm_mode vllm_model_impl vllm_enable_sleep_mode vllm_structured_outputs_regex "
        "vllm_guided_decoding_regex vllm_server_base_url vllm_server_host vllm_server_port "
        "vllm_server_timeout vllm_group_port vllm_gpu_memory_utilization vllm_max_model_length "
        "vllm_tensor_parallel_size",
    "its name here (and TRL's by now) is vllm_importance_sampling_clip_max":
        "vllm_importance_sampling_cap",
    "completions are written by a loop of this trainer's own":
        "cache_implementation use_transformers_continuous_batching use_transformers_paged "
        "transformers_continuous_batching_config use_cache",
    "tokens are drawn by temperature, top_p and top_k alone, whose probabilities the loss knows":
        "min_p repetition_penalty generation_kwargs",
    f"no tools are called while a completion is written; {_OWN_TRL}": "max_tool_calling_iterations",
    "weights are those of the rubric's parts: part.reward(correct=2.0), weight: in its file, or "
    "Rubric.weighted": "reward_weights",
    "the loss never holds all logits as it is; head_budget_mib bounds those that exist at a time":
        "use_liger_kernel use_liger_loss liger_kernel_config",
    "logits are taken in float32 as it is": "cast_lm_head_to_fp32",
    "every completion is kept in rollouts/ of the run folder, and rewardkit report shows them":
        "log_completions num_completions_to_print log_unique_prompts log_completions_hub_repo "
        "log_multimodal wandb_log_unique_prompts",
    "it is per_device_train_batch_size * steps_per_generation (times the processes): set "
    "steps_per_generation": "generation_batch_size",
    "a prompt is never cut: one that leaves no room for max_completion_length is refused with its "
    "row": "max_prompt_length",
    "ref_refresh_every makes the policy the reference every so many steps":
        "sync_ref_model ref_model_mixup_alpha ref_model_sync_steps",
    "evaluation writes one greedy and one sampled completion of each row":
        "num_generations_eval per_device_eval_batch_size eval_accumulation_steps "
        "eval_do_concat_batches eval_use_gather_object prediction_loss_only include_for_metrics "
        "batch_eval_metrics bf16_full_eval fp16_full_eval",
    "held-out rows are evaluated before the first step, every eval_steps and after the last":
        "eval_strategy evaluation_strategy eval_delay eval_on_start do_train do_eval do_predict",
    "checkpoints are written every save_steps, and after the last":
        "save_strategy save_only_model save_on_each_node enable_jit_checkpoint",
    "checkpoints are kept by age (save_total_limit); rewardkit export RUN --checkpoint STEP takes "
    "one out": "load_best_model_at_end metric_for_best_model greater_is_better",
    "metrics.jsonl in the run folder holds every step; logging_steps thins the terminal":
        "logging_strategy logging_first_step logging_dir logging_nan_inf_filter log_on_each_node "
        "log_level log_level_replica include_num_input_tokens_seen disable_tqdm "
        "skip_memory_metrics debug",
    "nothing is sent anywhere: all there is stands in the run folder":
        "report_to run_name project trackio_space_id trackio_bucket_id trackio_static_space_id "
        "push_to_hub hub_token hub_private_repo hub_model_id hub_strategy hub_always_push "
        "hub_revision",
    "its gradients underflow without a scaled loss: set bf16": "fp16",
    "its name here is gradient_checkpointing": "activation_checkpointing",
    "checkpointing is the one without reentrance, which takes no settings":
        "activation_checkpointing_kwargs gradient_checkpointing_kwargs",
    "a step for which memory does not suffice is done over in smaller parts as it is":
        "auto_find_batch_size torch_empty_cache_steps",
    "steps are counted: set warmup_steps": "warmup_ratio",
    "schedules have the settings that are usual in transformers": "lr_scheduler_kwargs",
    "optimizers have betas, epsilon and weight_decay as keys, and no other settings":
        "optim_args optim_target_modules adafactor",
    "the loss is counted over all tokens of all processes as it is":
        "average_tokens_across_devices",
    "its one seed is seed": "data_seed full_determinism",
    "every process holds a whole model; with backend: trl, accelerate launch shards it by a "
    "configuration of its own":
        "fsdp fsdp_config fsdp_min_num_params deepspeed parallelism_config accelerator_config "
        "ds3_gather_for_generation ddp_find_unused_parameters ddp_bucket_cap_mb "
        "ddp_broadcast_buffers ddp_static_graph ddp_backend ddp_timeout local_rank",
    "a GPU is used where there is one; CUDA_VISIBLE_DEVICES= hides it": "use_cpu no_cuda",
    "rows are held in memory and go to the rubric with all their columns":
        "remove_unused_columns label_names length_column_name train_sampling_strategy "
        "group_by_length dataloader_drop_last dataloader_num_workers dataloader_pin_memory "
        "dataloader_persistent_workers dataloader_prefetch_factor "
        "dataloader_multiprocessing_context dataloader_in_order",
    "rows are packed, and nothing is padded": "pad_to_multiple_of",
    "a chat goes through the tokenizer's template as it is": "chat_template_kwargs",
    "only models whose code is in transformers are loaded": "trust_remote_code",
    "the loss has no term for routers": "router_aux_loss_coef",
    "the loss is that of the paper, on weights as they are": "label_smoothing_factor "
        "neftune_noise_alpha",
    "the model runs as torch runs it":
        "torch_compile torch_compile_backend torch_compile_mode tf32",
}  # fmt: skip

FOREIGN: Mapping[str, str] = {
    key: reason for reason, keys in _BY_REASON.items() for key in keys.split()
}
"""Of ``GRPOConfig``: by key, why it is not there."""

FOREIGN_LORA: Mapping[str, str] = {
    "lora_r": "its name here (and peft's) is r",
    "rank": "its name here (and peft's) is r",
    "alpha": "its name here (and peft's) is lora_alpha",
    "dropout": "its name here (and peft's) is lora_dropout",
    "lora_target_modules": "its name here (and peft's) is target_modules",
    "task_type": "it is always CAUSAL_LM",
    "bias": "adapters are two matrices and nothing else",
    "use_dora": "adapters are two matrices and nothing else",
    "use_rslora": "set lora_alpha to the scale that is meant: it is divided by r",
    "modules_to_save": "without adapters all weights are learned, with them those of the adapters",
}
"""Of ``LoraSettings``."""
