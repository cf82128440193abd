// Calls of models through the libraries that applications use, against the endpoint of provider.mjs.

import { createAnthropic } from '@ai-sdk/anthropic'
import { createGoogleGenerativeAI } from '@ai-sdk/google'
import { createOpenAI } from '@ai-sdk/openai'
import Anthropic from '@anthropic-ai/sdk'
import { BedrockRuntimeClient, ConverseCommand } from '@aws-sdk/client-bedrock-runtime'
import { GoogleGenAI } from '@google/genai'
import { ChatAnthropic } from '@langchain/anthropic'
import { ChatOpenAI } from '@langchain/openai'
import { Mistral } from '@mistralai/mistralai'
import { embed, generateText } from 'ai'
import { CohereClientV2 } from 'cohere-ai'
import OpenAI from 'openai'

const prompt = 'What do whales do?'
const messages = [{ role: 'user', content: prompt }]

/** What each library returns, by name: the model that was asked, the result, and where its usage is. */
export function calls({ url, http2Url }) {
  const key = { apiKey: 'none', baseURL: `${url}/v1` }
  const openai = new OpenAI(key)
  const anthropic = new Anthropic({ apiKey: 'none', baseURL: url })
  const gemini = new GoogleGenAI({ apiKey: 'none', httpOptions: { baseUrl: url } })
  const mistral = new Mistral({ apiKey: 'none', serverURL: url })
  const cohere = new CohereClientV2({ token: 'none', environment: url })
  const bedrock = new BedrockRuntimeClient({ endpoint: http2Url, region: 'us-east-1', credentials: { accessKeyId: 'none', secretAccessKey: 'none' } })
  const chat = (model) => async () => openai.chat.completions.create({ model, messages })
  const generate = (model) => async () => generateText({ model, prompt, maxRetries: 0 })
  const langchain = (model) => async () => model.invoke(prompt)
  return {
    'openai chat.completions': { model: 'gpt-5', call: chat('gpt-5'), usage: (result) => result.usage },
    'openai responses': { model: 'gpt-5', call: () => openai.responses.create({ model: 'gpt-5', input: prompt }), usage: (result) => result.usage },
    'openai embeddings': {
      model: 'text-embedding-3-small', usage: (result) => result.usage,
      call: () => openai.embeddings.create({ model: 'text-embedding-3-small', input: prompt, encoding_format: 'float' }),
    },
    'openai with DeepSeek': { model: 'deepseek-chat', call: chat('deepseek-chat'), usage: (result) => result.usage },
    'openai with xAI': { model: 'own-xai', call: chat('own-xai'), usage: (result) => result.usage },
    'openai with OpenRouter': { model: 'openai/gpt-4o', call: chat('openai/gpt-4o'), usage: (result) => result.usage },
    anthropic: {
      model: 'claude-sonnet-4-5', usage: (result) => result.usage,
      call: () => anthropic.messages.create({ model: 'claude-sonnet-4-5', max_tokens: 1000, messages }),
    },
    gemini: {
      model: 'gemini/gemini-2.5-flash', usage: (result) => result.usageMetadata,
      call: () => gemini.models.generateContent({ model: 'gemini-2.5-flash', contents: prompt }),
    },
    mistral: {
      model: 'mistral/mistral-small-latest', usage: (result) => result.usage,
      call: () => mistral.chat.complete({ model: 'mistral/mistral-small-latest', messages }),
    },
    cohere: { model: 'own-cohere', call: () => cohere.chat({ model: 'own-cohere', messages }), usage: (result) => result.usage },
    bedrock: {
      model: 'claude-sonnet-4-5', usage: (result) => result.usage,
      call: () => bedrock.send(new ConverseCommand({ modelId: 'claude-sonnet-4-5', messages: [{ role: 'user', content: [{ text: prompt }] }] })),
    },
    'ai with OpenAI': { model: 'gpt-5', call: generate(createOpenAI(key).responses('gpt-5')), usage: (result) => result.totalUsage },
    'ai with OpenAI chat': { model: 'gpt-5', call: generate(createOpenAI(key).chat('gpt-5')), usage: (result) => result.usage },
    'ai with Anthropic': {
      model: 'claude-sonnet-4-5', call: generate(createAnthropic(key)('claude-sonnet-4-5')), usage: (result) => result.totalUsage,
    },
    'ai with Google': {
      model: 'gemini/gemini-2.5-flash', usage: (result) => result.totalUsage,
      call: generate(createGoogleGenerativeAI({ apiKey: 'none', baseURL: `${url}/v1beta` })('gemini-2.5-flash')),
    },
    'ai embed': {
      model: 'text-embedding-3-small', usage: (result) => result.usage,
      call: () => embed({ model: createOpenAI(key).embedding('text-embedding-3-small'), value: prompt, maxRetries: 0 }),
    },
    'langchain with OpenAI': {
      model: 'gpt-5', usage: (result) => result.usage_metadata,
      call: langchain(new ChatOpenAI({ apiKey: 'none', model: 'gpt-5', configuration: key })),
    },
    'langchain with Anthropic': {
      model: 'claude-sonnet-4-5', usage: (result) => result.usage_metadata,
      call: langchain(new ChatAnthropic({ apiKey: 'none', model: 'claude-sonnet-4-5', anthropicApiUrl: url })),
    },
  }
}
