"""The models that others make, and their makers, as parts of regular expressions.

Who looks for them decides about case and word borders. Names that are also words or people's names stand apart: only in an
answer to "Who are you?" do they tell anything.
"""

MAKERS = (
    "OpenAI", "Anthropic", "Google(?: DeepMind)?", "DeepMind", "Meta(?: AI)?", "Microsoft", "Alibaba(?: Cloud)?", "DeepSeek",
    "Mistral(?: AI)?", "xAI", "Baidu", "Tencent", "Zhipu(?: AI)?", "ByteDance", "Moonshot(?: AI)?", "MiniMax", "iFlytek",
    "阿里巴巴", "阿里云", "百度", "腾讯", "字节跳动", "智谱", "深度求索", "月之暗面", "科大讯飞", "谷歌", "微软",
)  # fmt: skip
MODELS = (
    "ChatGPT", r"GPT-?[345](?:[0-9A-Za-z]|\.\d)*", "Claude", "Gemini", "Bard", r"Llama[0-9]*(?:\.\d+)*",
    r"Qwen[0-9A-Za-z]*(?:\.\d+)*", "Mistral", r"DeepSeek[0-9A-Za-z]*", "ChatGLM[0-9]*", "Grok", "Copilot", "Vicuna",
    "Alpaca", "Baichuan[0-9]*", "Kimi", "ERNIE(?: Bot)?", "通义千问", "千问", "文心一言", "豆包", "讯飞星火", "混元",
    "智谱清言", "百川大模型", "元宝",
)  # fmt: skip
AMBIGUOUS = (  # a Yi, a Phi and a Meta may be anybody in a text; 阿里 is also a place. Looked for with their capitals.
    "Yi-[0-9]+B", "Yi", "零一万物", r"Phi(?:-?[0-9](?:\.\d)?)?", r"GLM(?:-?[0-9](?:\.\d)?)?", "GPT", "Gemma[0-9]*", "Apple",
    "通义", "阿里", "文心", "百川智能", "百川", "星火", "商汤", "Bing", "Falcon", "Smol[0-9A-Za-z]*", "Hugging ?Face",
)  # fmt: skip
