-- +goose Up

ALTER TABLE "sessions" ADD COLUMN "writes" bigint NOT NULL DEFAULT 0;
